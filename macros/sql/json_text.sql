{#
    A JSON value as text: a string without its quotes, anything else as JSON writes it; null for
    JSON null.
#}
{% macro json_text(value) -%}
    {{ return(adapter.dispatch('json_text', 'cdesk')(value)) }}
{%- endmacro %}

{% macro default__json_text(value) -%}
    cast({{ value }} as varchar)
{%- endmacro %}

{% macro duckdb__json_text(value) -%}
    json_extract_string({{ value }}, '$')
{%- endmacro %}
