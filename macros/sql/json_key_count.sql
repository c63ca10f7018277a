{# How many keys an object column has. #}
{% macro json_key_count(column) -%}
    {{ return(adapter.dispatch('json_key_count', 'cdesk')(column)) }}
{%- endmacro %}

{% macro default__json_key_count(column) -%}
    array_size(object_keys({{ column }}))
{%- endmacro %}

{% macro duckdb__json_key_count(column) -%}
    len(json_keys({{ column }}))
{%- endmacro %}
