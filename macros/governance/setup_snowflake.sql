{#
    Database, schema, warehouses and roles. Run it as ACCOUNTADMIN, as often as you like: what
    exists is brought to what stands here.

    dbt run-operation setup_snowflake --target snowflake --args '{dry_run: true}'
#}
{% macro setup_snowflake(dry_run=false) -%}
    {{ return(adapter.dispatch('setup_snowflake', 'cdesk')(dry_run)) }}
{%- endmacro %}

{% macro default__setup_snowflake(dry_run) -%}
    {{ cdesk._needs_snowflake('setup_snowflake') }}
{%- endmacro %}

{% macro snowflake__setup_snowflake(dry_run) -%}
    {%- set statements = cdesk._setup_sql() -%}
    {{ cdesk._run_statements('setup_snowflake',
        statements + cdesk._earlier_access_sql(dry_run)
        + cdesk._record_step_sql('setup_snowflake', statements), dry_run) }}
{%- endmacro %}

{% macro _setup_sql() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set statements = [] -%}
    {%- for role in [names.loader, names.transformer, names.reader, names.service, names.admin] -%}
        {%- do statements.append("create role if not exists " ~ role) -%}
    {%- endfor -%}
    {#
        the service reads as a reader does; the administrator can do what each of the others can,
        and SYSADMIN what the administrator can
    #}
    {%- do statements.append("grant role " ~ names.reader ~ " to role " ~ names.service) -%}
    {%- for role in [names.loader, names.transformer, names.reader] -%}
        {%- do statements.append("grant role " ~ role ~ " to role " ~ names.admin) -%}
    {%- endfor -%}
    {%- do statements.append("grant role " ~ names.admin ~ " to role sysadmin") -%}
    {%- do statements.append("create database if not exists " ~ names.database) -%}
    {%- do statements.append("create schema if not exists " ~ names.schema
        ~ " with managed access") -%}
    {%- do statements.append("alter schema " ~ names.schema ~ " enable managed access") -%}
    {%- do statements.append("create schema if not exists " ~ names.access_schema
        ~ " with managed access") -%}
    {%- for key, seconds in [('query_warehouse', 30), ('build_warehouse', 1800)] -%}
        {%- do statements.append("create warehouse if not exists " ~ names[key]
            ~ " with warehouse_size = 'XSMALL' initially_suspended = true") -%}
        {# one that the account names is used by others, too #}
        {%- if key not in names.given -%}
            {%- do statements.append(
                "alter warehouse " ~ names[key]
                    ~ " set auto_suspend = 60, auto_resume = true, statement_timeout_in_seconds = "
                    ~ seconds
                ~ ", statement_queued_timeout_in_seconds = " ~ seconds) -%}
        {%- endif -%}
    {%- endfor -%}
    {# it did not exist when this session began #}
    {%- do statements.append("use warehouse " ~ names.build_warehouse) -%}
    {%- do statements.append(cdesk.create_landing_sql(cdesk._landing()) | trim) -%}
    {# a table of an earlier version #}
    {%- do statements.append("alter table " ~ names.landing
        ~ " add column if not exists landed_by varchar") -%}
    {%- do statements.append("create table if not exists " ~ names.access
        ~ " (principal_kind varchar, principal varchar, customer varchar)") -%}
    {%- do statements.append("create table if not exists " ~ names.steps
        ~ " (step varchar, fingerprint varchar, applied_at timestamp_ntz)") -%}
    {%- do statements.append(cdesk._create_legal_holds_sql(names.holds)) -%}
    {%- do statements.append("create table if not exists " ~ names.people
        ~ " (principal_kind varchar, principal varchar, customer varchar)") -%}
    {%- do statements.append("create table if not exists " ~ names.marks
        ~ " (mark varchar, instant timestamp_ntz)") -%}
    {%- for table in [names.landing, names.access, names.people, names.steps, names.marks] -%}
        {%- do statements.append("grant ownership on table " ~ table ~ " to role "
            ~ names.transformer ~ " copy current grants") -%}
    {%- endfor -%}
    {# what an earlier version gave: more than is read, and the holds to the role that deletes #}
    {%- do statements.append("revoke imported privileges on database snowflake from role "
        ~ names.transformer) -%}
    {%- do statements.append("grant ownership on table " ~ names.holds ~ " to role " ~ names.admin
        ~ " copy current grants") -%}
    {# the values of binds are nobody's to read in the history of queries #}
    {%- do statements.append("alter account set allow_bind_values_access = false") -%}
    {%- for grant in cdesk.snowflake_grants('setup_snowflake') -%}
        {%- do statements.append(cdesk._grant_sql(grant)) -%}
    {%- endfor -%}
    {# who lands calls the procedure; an earlier version let them insert #}
    {%- do statements.append("revoke insert on table " ~ names.landing ~ " from role "
        ~ names.loader) -%}
    {%- do statements.append("use role " ~ names.transformer) -%}
    {%- do statements.append(cdesk.land_lines_sql(names.land, names.landing)) -%}
    {#
        The transformer owns the procedure, and may not grant it: under managed access the schema's
        owner does. A pipe keeps the owner that made it: to hand it over it would have to be paused,
        and with it everybody's landing.
        https://docs.snowflake.com/en/user-guide/security-access-control-configure#label-managed-access-schemas
    #}
    {%- do statements.append("use role " ~ names.admin) -%}
    {%- do statements.append(cdesk._landing_pipe_sql(names.pipe, 'LANDING_PIPE')) -%}
    {%- for grant in cdesk.snowflake_grants('land_lines')
        + cdesk.snowflake_grants('landing_pipe') -%}
        {%- do statements.append(cdesk._grant_sql(grant)) -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}

{#
    An earlier version had `customer_access` beside the other tables: its entries are taken over,
    and apply_row_access drops it, once no policy looks it up.
#}
{% macro _earlier_access_sql(dry_run) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set statements = [] -%}
    {%- if execute and not dry_run and cdesk._has_earlier_access() -%}
        {%- do statements.append("use role " ~ names.transformer) -%}
        {%- do statements.append(
            "insert into " ~ names.access ~ " (principal_kind, principal, customer)\n"
            ~ "select old.principal_kind, old.principal, old.customer from " ~ names.old_access
            ~ " as old\nwhere not exists (select 1 from " ~ names.access ~ ")") -%}
    {%- endif -%}
    {{ return(statements) }}
{%- endmacro %}

{% macro _has_earlier_access() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set sql -%}
    select table_name
    from {{ names.database }}.information_schema.tables
    where upper(table_schema) = upper('{{ target.schema }}') and upper(table_name) = 'CUSTOMER_ACCESS'
    {%- endset -%}
    {{ return(run_query(sql).rows | length > 0) }}
{%- endmacro %}

{#
    What Snowpipe Streaming lands through. The payload comes as text and is parsed here, so that no
    number in it passes through a client's own types ('d': of a key that stands twice the last value
    counts, as where the record was checked). `loader` is who lands through it, a constant: a pipe
    knows no user. So each loader has a pipe of its own (add_person), and the shared service
    LANDING_PIPE. It doesn't stamp times: Snowflake advises against SYSDATE and its like in a pipe,
    since their values may be hours old
    (https://docs.snowflake.com/en/sql-reference/sql/create-pipe). The loader stamps them by the
    account's clock. Never replaced: a pipe's channels, and the offsets that uploaders resume from,
    go with it.
    https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-overview
#}
{% macro _landing_pipe_sql(pipe, loader) -%}
    {%- set names = cdesk._snowflake_names() -%}
    create pipe if not exists {{ pipe }} as
    copy into {{ names.landing }} (id, kind, payload, source_file, source_offset, landed_at, landed_by)
    from (
        select
            $1:id::varchar,
            $1:kind::varchar,
            parse_json($1:payload::varchar, 'd'),
            $1:source_file::varchar,
            $1:source_offset::number(38, 0),
            $1:landed_at::timestamp_ntz,
            '{{ loader }}'
        from table(data_source(type => 'STREAMING'))
    )
{%- endmacro %}
