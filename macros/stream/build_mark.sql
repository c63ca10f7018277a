{#
    An instant that an earlier build has noted, as a literal; none where it noted none, or where the
    engine knows it without reading. On Snowflake a `max(…)` under a row access policy is a query
    over the whole column: behind a literal it reads what has been written since, whatever the
    history. https://docs.snowflake.com/en/user-guide/security-row-intro

    Marks: `newest in events`, `newest in _ingest_ids`, `oldest revision`. None of them lies ahead
    of the account's clock.
#}
{% macro build_mark(mark) -%}
    {{ return(adapter.dispatch('build_mark', 'cdesk')(mark)) }}
{%- endmacro %}

{% macro default__build_mark(mark) -%}
    {{ return(none) }}
{%- endmacro %}

{% macro snowflake__build_mark(mark) -%}
    {%- set marked = ['newest in events', 'newest in _ingest_ids', 'oldest revision'] -%}
    {%- if mark not in marked or not cdesk._is_there('build_marks') -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = run_query("select " ~ cdesk.timestamp_text('max(instant)') ~ " from "
        ~ cdesk._in_schema('build_marks') ~ " where mark = '" ~ mark ~ "'").rows[0][0] -%}
    {{ return(cdesk._timestamp_literal(found) if found else none) }}
{%- endmacro %}

{# What `timestamp_text` made of a timestamp, as a literal. #}
{% macro _timestamp_literal(text) -%}
    {{ return("cast('" ~ text | replace('T', ' ') | replace('Z', '') ~ "' as "
        ~ dbt.type_timestamp() ~ ")") }}
{%- endmacro %}
