{#
    dbt's own, but for `customer_access`: a seed without rows would leave out the people whom
    add_person let in (macro snowflake__load_csv_rows).
#}
{% macro snowflake__reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
    {%- if model.name == 'customer_access' and agate_table.rows | length == 0 -%}
        {{ return(cdesk._fill_customer_access(agate_table)) }}
    {%- endif -%}
    {{ return(dbt.snowflake__reset_csv_table(model, full_refresh, old_relation, agate_table)) }}
{%- endmacro %}
