{# The JSON value of a key of an object column; null where there is none. #}
{% macro json_value(column, key) -%}
    {{ return(adapter.dispatch('json_value', 'cdesk')(column, key)) }}
{%- endmacro %}

{% macro default__json_value(column, key) -%}
    get({{ column }}, '{{ key }}')
{%- endmacro %}

{% macro duckdb__json_value(column, key) -%}
    json_extract({{ column }}, '$."{{ key }}"')
{%- endmacro %}
