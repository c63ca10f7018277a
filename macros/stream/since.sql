{#
    The `landed_at` from which an incremental model reads again, as a literal: the newest it holds,
    less `overlap_seconds`. It comes from the model's own rows, so a build that died between two
    models heals itself: each resumes where it stopped itself. The newest instant is read again,
    too, and what is known already is sorted out by id.

    Stamps of the future don't count, which a loader whose clock is wrong may have left: they would
    hide what others land. They are looked for only where there are any.

    The newest is looked for behind the mark of an earlier build (macro build_mark), and in all of
    the table only where nothing stands behind it: the table was put back, or who is erased had the
    newest rows.

    A literal and not a subquery, since both engines skip blocks of history by a literal at any
    depth of views, and by a subquery hardly ever.
#}
{% macro since(relation, column='_landed_at') -%}
    {%- set newest = none -%}
    {%- if execute -%}
        {%- set mark = cdesk.build_mark('newest in ' ~ relation.identifier | lower) -%}
        {%- if mark -%}
            {%- set newest = cdesk._newest(relation, column, column ~ ' >= ' ~ mark) -%}
        {%- endif -%}
        {%- if not newest -%}
            {%- set newest = cdesk._newest(relation, column) -%}
        {%- endif -%}
    {%- endif -%}
    {{ cdesk._timestamp_literal(newest or '0001-01-01T00:00:00.000000Z') }}
{%- endmacro %}

{# Less `overlap_seconds`, as text; none where no row is. `where`: among which rows, else all. #}
{% macro _newest(relation, column, where=none) -%}
    {%- set overlapped = cdesk.timestamp_text(
        dbt.dateadd('second', -cdesk.overlap_seconds(), 'max(' ~ column ~ ')')
    ) -%}
    {%- set newest, is_ahead = run_query(
        'select ' ~ overlapped ~ ', max(' ~ column ~ ') > ' ~ cdesk.utc_now()
        ~ ' from ' ~ relation ~ (' where ' ~ where if where else '')
    ).rows[0] -%}
    {%- if not is_ahead -%}
        {{ return(newest) }}
    {%- endif -%}
    {{ return(run_query(
        'select ' ~ overlapped ~ ' from ' ~ relation ~ ' where '
        ~ (where ~ ' and ' if where else '') ~ column ~ ' <= ' ~ cdesk.utc_now()
    ).rows[0][0]) }}
{%- endmacro %}
