{#
    Makes `landing`, the one table that is written from outside dbt, where it doesn't exist yet.
    Runs at the start of every dbt run, and by `dbt run-operation create_landing`.
#}
{% macro create_landing() -%}
    {% if execute %}{{ adapter.dispatch('create_landing', 'cdesk')() }}{% endif %}
{%- endmacro %}

{% macro default__create_landing() -%}
    {% set relation = cdesk._landing() %}
    {% do adapter.create_schema(relation) %}
    {% do run_query(cdesk.create_landing_sql(relation)) %}
    {# a table of an earlier version #}
    {% do run_query('alter table ' ~ relation ~ ' add column if not exists landed_by varchar') %}
{%- endmacro %}

{#
    setup_snowflake has made schema and table; in a sandbox without it dbt has made the schema. To
    ask for it again would need CREATE SCHEMA all the same.
#}
{% macro snowflake__create_landing() -%}
    {% set relation = cdesk._landing() %}
    {% if load_relation(relation) is none %}
        {% do run_query(cdesk.create_landing_sql(relation)) %}
    {% endif %}
{%- endmacro %}
