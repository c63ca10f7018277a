{#
    The JSON value of an object column at a key that is itself a value, taken to the letter: no path
    syntax. Null where there is none.
#}
{% macro json_at(column, key) -%}
    {{ return(adapter.dispatch('json_at', 'cdesk')(column, key)) }}
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/get #}
{% macro default__json_at(column, key) -%}
    get({{ column }}, {{ key }})
{%- endmacro %}

{#
    Not json_extract(column, key): it reads a key that begins with `$` or `/`, or holds `*`, as a
    path.
#}
{% macro duckdb__json_at(column, key) -%}
    json_extract({{ column }}, '$.*')[list_position(json_keys({{ column }}), {{ key }})]
{%- endmacro %}
