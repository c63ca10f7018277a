{#
    Makes `legal_holds` where it doesn't exist yet; at the start of every dbt run. On Snowflake
    setup_snowflake has made it: who lifts a hold is not who deletes.
#}
{% macro create_legal_holds() -%}
    {% if execute %}{{ adapter.dispatch('create_legal_holds', 'cdesk')() }}{% endif %}
{%- endmacro %}

{% macro default__create_legal_holds() -%}
    {% set holds = cdesk._in_schema('legal_holds') %}
    {% do adapter.create_schema(holds) %}
    {% do run_query(
        'create table if not exists ' ~ holds
        ~ ' (customer varchar, reason varchar, placed_at timestamp)'
    ) %}
{%- endmacro %}

{% macro snowflake__create_legal_holds() -%}
{%- endmacro %}
