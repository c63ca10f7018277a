{# dbt's own, for the native columns #}
{% macro snowflake__get_empty_schema_sql(columns) -%}
    {{ return(default__get_empty_schema_sql(cdesk.native_columns(columns))) }}
{%- endmacro %}
