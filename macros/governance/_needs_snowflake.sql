{# What a public macro of this folder does on any engine but Snowflake. #}
{% macro _needs_snowflake(operation) -%}
    {{ exceptions.raise_compiler_error(operation
        ~ " is for Snowflake; run it as: dbt run-operation " ~ operation ~ " --target snowflake") }}
{%- endmacro %}
