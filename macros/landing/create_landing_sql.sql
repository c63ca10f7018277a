{% macro create_landing_sql(relation) -%}
    {{ return(adapter.dispatch('create_landing_sql', 'cdesk')(relation)) }}
{%- endmacro %}

{#
    JSON is stored smaller and quicker by zstd than by what DuckDB finds out of itself, which tries
    all ways out each time that it writes.
#}
{% macro default__create_landing_sql(relation) -%}
    create table if not exists {{ relation }} (
        id varchar not null,
        kind varchar not null,
        payload json not null using compression zstd,
        source_file varchar not null,
        source_offset bigint not null,
        landed_at timestamp not null,
        landed_by varchar
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
        landed_at timestamp_ntz not null,
        landed_by varchar
    )
    cluster by (landed_at)
{%- endmacro %}
