{#
    The order in which a table is first written. DuckDB prunes by the smallest and largest value of
    each block of rows, so that history in the order of time is what a build never reads; Snowflake
    orders by the model's cluster_by.
#}
{% macro in_storage_order(columns) -%}
    {{ return(adapter.dispatch('in_storage_order', 'cdesk')(columns)) }}
{%- endmacro %}

{% macro default__in_storage_order(columns) -%}{%- endmacro %}

{% macro duckdb__in_storage_order(columns) -%}
    order by {{ columns | join(', ') }}
{%- endmacro %}
