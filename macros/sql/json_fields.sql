{#
    The named fields of a JSON object, read together so that DuckDB parses the document once (every
    single extraction parses it anew). Give the result a column name, then read from it with
    `json_field`.
#}
{% macro json_fields(column, names) -%}
    {{ return(adapter.dispatch('json_fields', 'cdesk')(column, names)) }}
{%- endmacro %}

{% macro default__json_fields(column, names) -%}
    {{ column }}
{%- endmacro %}

{% macro duckdb__json_fields(column, names) -%}
    json_extract(
        {{- column }}, [
        {%- for name in names %}'$."{{ name }}"'{{ ", " if not loop.last }}{% endfor -%}
    ])
{%- endmacro %}
