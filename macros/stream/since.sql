{#
    The `landed_at` from which an incremental model reads again, as a literal: the newest it holds,
    less `overlap_seconds`. It comes from the model's own rows, so a build that died between two
    models heals itself: each resumes where it stopped itself. The newest instant is read again,
    too, and what is known already is sorted out by id.

    Stamps of the future don't count, which a loader whose clock is wrong may have left: they would
    hide what others land. They are looked for only where there are any, since the plain maximum is
    known without reading.

    A literal and not a subquery, since both engines skip blocks of history by a literal at any
    depth of views, and by a subquery hardly ever.
#}
{% macro since(relation, column='_landed_at') -%}
    {%- set beginning = '0001-01-01T00:00:00.000000Z' -%}
    {%- set newest = none -%}
    {%- if execute -%}
        {%- set overlapped = cdesk.timestamp_text(
            dbt.dateadd('second', -cdesk.overlap_seconds(), 'max(' ~ column ~ ')')
        ) -%}
        {%- set known = run_query(
            'select ' ~ overlapped ~ ', max(' ~ column ~ ') > ' ~ cdesk.utc_now()
            ~ ' from ' ~ relation
        ).rows[0] -%}
        {%- set newest, is_ahead = known -%}
        {%- if is_ahead -%}
            {%- set newest = run_query(
                'select ' ~ overlapped ~ ' from ' ~ relation
                ~ ' where ' ~ column ~ ' <= ' ~ cdesk.utc_now()
            ).rows[0][0] -%}
        {%- endif -%}
    {%- endif -%}
    {%- set text = (newest or beginning) | replace('T', ' ') | replace('Z', '') -%}
    cast('{{ text }}' as {{ dbt.type_timestamp() }})
{%- endmacro %}
