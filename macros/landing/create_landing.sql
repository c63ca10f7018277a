{#
    Makes `landing`, the one table that is written from outside dbt, where it doesn't exist yet. Runs at the start of every dbt run, and by
    `dbt run-operation create_landing`.
#}
{% macro create_landing() -%}
    {% if execute %}{{ adapter.dispatch('create_landing', 'cdesk')() }}{% endif %}
{%- endmacro %}

{% macro default__create_landing() -%}
    {% set relation = cdesk._landing() %}
    {% do adapter.create_schema(relation) %}
    {% do run_query(cdesk.create_landing_sql(relation)) %}
{%- endmacro %}

{# setup_snowflake has made schema and table; in a sandbox without it dbt has made the schema. To ask for it again would need CREATE SCHEMA all the same. #}
{% macro snowflake__create_landing() -%}
    {% set relation = cdesk._landing() %}
    {% if load_relation(relation) is none %}{% do run_query(cdesk.create_landing_sql(relation)) %}{% endif %}
{%- endmacro %}

{% macro _landing() -%}
    {{ return(api.Relation.create(database=target.database, schema=target.schema, identifier='landing', type='table')) }}
{%- endmacro %}

{% macro create_landing_sql(relation) -%}
    {{ return(adapter.dispatch('create_landing_sql', 'cdesk')(relation)) }}
{%- endmacro %}

{% macro default__create_landing_sql(relation) -%}
    create table if not exists {{ relation }} (
        id varchar not null,
        kind varchar not null,
        payload json not null,
        source_file varchar not null,
        source_offset bigint not null,
        landed_at timestamp not null
    )
{%- endmacro %}

{# Clustered by arrival, which is the order in which every incremental model reads it. #}
{% macro snowflake__create_landing_sql(relation) -%}
    create table if not exists {{ relation }} (
        id varchar not null,
        kind varchar not null,
        payload variant not null,
        source_file varchar not null,
        source_offset number(38, 0) not null,
        landed_at timestamp_ntz not null
    )
    cluster by (landed_at)
{%- endmacro %}
