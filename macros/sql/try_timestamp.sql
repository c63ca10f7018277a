{#
    Text as `2026-01-31T12:00:00.123456Z` to a timestamp in UTC, without zone; null where it is
    none.
#}
{% macro try_timestamp(text) -%}
    {{ return(adapter.dispatch('try_timestamp', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default__try_timestamp(text) -%}
    try_to_timestamp_ntz({{ text }}, 'YYYY-MM-DD"T"HH24:MI:SS.FF6"Z"')
{%- endmacro %}

{% macro duckdb__try_timestamp(text) -%}
    try_cast({{ text }} as timestamp)
{%- endmacro %}
