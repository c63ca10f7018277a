{# A key of an object column as text; null where there is none or it is JSON null. #}
{% macro json_string(column, key) -%}
    {{ return(adapter.dispatch('json_string', 'cdesk')(column, key)) }}
{%- endmacro %}

{% macro default__json_string(column, key) -%}
    {{ cdesk.json_text(cdesk.json_value(column, key)) }}
{%- endmacro %}

{% macro duckdb__json_string(column, key) -%}
    json_extract_string({{ column }}, '$."{{ key }}"')
{%- endmacro %}
