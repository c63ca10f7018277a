{# A JSON value as JSON text without white space; null where there is no value. #}
{% macro json_compact(value) -%}
    {{ return(adapter.dispatch('json_compact', 'cdesk')(value)) }}
{%- endmacro %}

{% macro default__json_compact(value) -%}
    to_json({{ value }})
{%- endmacro %}

{% macro duckdb__json_compact(value) -%}
    cast({{ value }} as varchar)
{%- endmacro %}
