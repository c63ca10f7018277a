{# A text that nobody can foresee. #}
{% macro random_text() -%}
    {{ return(adapter.dispatch('random_text', 'cdesk')()) }}
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/uuid_string #}
{% macro default__random_text() -%}
    uuid_string()
{%- endmacro %}

{% macro duckdb__random_text() -%}
    cast(uuid() as varchar)
{%- endmacro %}
