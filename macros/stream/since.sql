{#
    The `landed_at` from which an incremental model reads again, as a literal: the newest it holds, less `overlap_seconds`. It comes
    from the model's own rows, so a build that died between two models heals itself: each resumes where it stopped itself. The newest
    instant is read again, too, and what is known already is sorted out by id.

    A literal and not a subquery, since both engines skip blocks of history by a literal at any depth of views, and by a subquery hardly ever.
#}
{% macro since(relation, column='_landed_at') -%}
    {%- set beginning = '0001-01-01T00:00:00.000000Z' -%}
    {%- set newest = none -%}
    {%- if execute -%}
        {%- set overlapped = dbt.dateadd('second', -cdesk.overlap_seconds(), 'max(' ~ column ~ ')') -%}
        {%- set newest = run_query('select ' ~ cdesk.timestamp_text(overlapped) ~ ' from ' ~ relation).columns[0].values()[0] -%}
    {%- endif -%}
    cast('{{ (newest or beginning) | replace("T", " ") | replace("Z", "") }}' as {{ dbt.type_timestamp() }})
{%- endmacro %}
