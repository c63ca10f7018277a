{#
    Makes `legal_holds` where it doesn't exist yet; at the start of every dbt run. On Snowflake
    setup_snowflake has made it: who lifts a hold is not who deletes. Only a sandbox without
    policies makes its own.
#}
{% macro create_legal_holds() -%}
    {% if execute %}{{ adapter.dispatch('create_legal_holds', 'cdesk')() }}{% endif %}
{%- endmacro %}

{% macro default__create_legal_holds() -%}
    {% set holds = cdesk._in_schema('legal_holds') %}
    {% do adapter.create_schema(holds) %}
    {% do run_query(cdesk._create_legal_holds_sql(holds)) %}
{%- endmacro %}

{# dbt has made the schema, see create_landing #}
{% macro snowflake__create_legal_holds() -%}
    {% if not cdesk._is_governed() %}
        {% do run_query(cdesk._create_legal_holds_sql(cdesk._in_schema('legal_holds'))) %}
    {% endif %}
{%- endmacro %}

{% macro _create_legal_holds_sql(holds) -%}
    {{ return('create table if not exists ' ~ holds
        ~ ' (customer varchar, reason varchar, placed_at ' ~ dbt.type_timestamp() ~ ')') }}
{%- endmacro %}
