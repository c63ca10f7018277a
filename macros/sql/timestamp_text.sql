{# A timestamp in UTC as `2026-01-31T12:00:00.123456Z`. #}
{% macro timestamp_text(timestamp) -%}
    {{ return(adapter.dispatch('timestamp_text', 'cdesk')(timestamp)) }}
{%- endmacro %}

{% macro default__timestamp_text(timestamp) -%}
    to_char({{ timestamp }}, 'YYYY-MM-DD"T"HH24:MI:SS.FF6"Z"')
{%- endmacro %}

{% macro duckdb__timestamp_text(timestamp) -%}
    strftime({{ timestamp }}, '%Y-%m-%dT%H:%M:%S.%fZ')
{%- endmacro %}
