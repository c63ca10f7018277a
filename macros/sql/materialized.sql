{#
    Stands between `as` and the parenthesis of a CTE that several others read and that is dear:
    DuckDB may put it into each of its readers and work it out as often. Snowflake knows no such
    word, and decides by itself.
#}
{% macro materialized() -%}
    {{ return(adapter.dispatch('materialized', 'cdesk')()) }}
{%- endmacro %}

{% macro default__materialized() -%}{%- endmacro %}

{% macro duckdb__materialized() -%}
    materialized
{%- endmacro %}
