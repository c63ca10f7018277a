create role if not exists CDESK_LOADER;

create role if not exists CDESK_TRANSFORMER;

create role if not exists CDESK_READER;

create role if not exists CDESK_SERVICE;

create role if not exists CDESK_ADMIN;

grant role CDESK_READER to role CDESK_SERVICE;

grant role CDESK_LOADER to role CDESK_ADMIN;

grant role CDESK_TRANSFORMER to role CDESK_ADMIN;

grant role CDESK_READER to role CDESK_ADMIN;

grant role CDESK_ADMIN to role sysadmin;

create database if not exists CLAUDE_LOGS;

create schema if not exists CLAUDE_LOGS.ACTIVITIES with managed access;

alter schema CLAUDE_LOGS.ACTIVITIES enable managed access;

create warehouse if not exists CDESK_WH with warehouse_size = 'XSMALL' initially_suspended = true;

alter warehouse CDESK_WH set auto_suspend = 60, auto_resume = true, statement_timeout_in_seconds = 30, statement_queued_timeout_in_seconds = 30;

create warehouse if not exists CDESK_BUILD_WH with warehouse_size = 'XSMALL' initially_suspended = true;

alter warehouse CDESK_BUILD_WH set auto_suspend = 60, auto_resume = true, statement_timeout_in_seconds = 1800, statement_queued_timeout_in_seconds = 1800;

use warehouse CDESK_BUILD_WH;

create table if not exists CLAUDE_LOGS.ACTIVITIES.landing (
        id varchar not null,
        kind varchar not null,
        payload variant not null,
        source_file varchar not null,
        source_offset number(38, 0) not null,
        landed_at timestamp_ntz not null
    )
    cluster by (landed_at);

create table if not exists CLAUDE_LOGS.ACTIVITIES.customer_access (principal_kind varchar, principal varchar, customer varchar);

create table if not exists CLAUDE_LOGS.ACTIVITIES.applied_setup (step varchar, fingerprint varchar, applied_at timestamp_ntz);

create table if not exists CLAUDE_LOGS.ACTIVITIES.legal_holds (customer varchar, reason varchar, placed_at timestamp_ntz);

grant ownership on table CLAUDE_LOGS.ACTIVITIES.landing to role CDESK_TRANSFORMER copy current grants;

grant ownership on table CLAUDE_LOGS.ACTIVITIES.customer_access to role CDESK_TRANSFORMER copy current grants;

grant ownership on table CLAUDE_LOGS.ACTIVITIES.legal_holds to role CDESK_TRANSFORMER copy current grants;

grant ownership on table CLAUDE_LOGS.ACTIVITIES.applied_setup to role CDESK_TRANSFORMER copy current grants;

grant usage on database CLAUDE_LOGS to role CDESK_LOADER;

grant usage on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_LOADER;

grant usage on database CLAUDE_LOGS to role CDESK_TRANSFORMER;

grant usage on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_TRANSFORMER;

grant usage on database CLAUDE_LOGS to role CDESK_READER;

grant usage on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_READER;

grant usage on warehouse CDESK_WH to role CDESK_LOADER;

grant usage on warehouse CDESK_WH to role CDESK_READER;

grant usage on warehouse CDESK_BUILD_WH to role CDESK_TRANSFORMER;

grant operate, monitor on warehouse CDESK_WH to role CDESK_ADMIN;

grant operate, monitor on warehouse CDESK_BUILD_WH to role CDESK_ADMIN;

grant select, insert on table CLAUDE_LOGS.ACTIVITIES.landing to role CDESK_LOADER;

grant create table, create view on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_TRANSFORMER;

grant select on future tables in schema CLAUDE_LOGS.ACTIVITIES to role CDESK_READER;

grant select on future views in schema CLAUDE_LOGS.ACTIVITIES to role CDESK_READER;

grant select on table CLAUDE_LOGS.ACTIVITIES.landing to role CDESK_READER;

grant create stream, create task, create dbt project on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_TRANSFORMER;

grant execute task on account to role CDESK_TRANSFORMER;

grant apply masking policy on account to role CDESK_ADMIN;

grant imported privileges on database snowflake to role CDESK_TRANSFORMER;

grant ownership on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_ADMIN copy current grants;

use role CDESK_ADMIN;

create pipe if not exists CLAUDE_LOGS.ACTIVITIES.landing_pipe as
    copy into CLAUDE_LOGS.ACTIVITIES.landing (id, kind, payload, source_file, source_offset, landed_at)
    from (
        select
            $1:id::varchar,
            $1:kind::varchar,
            parse_json($1:payload::varchar, 'd'),
            $1:source_file::varchar,
            $1:source_offset::number(38, 0),
            $1:landed_at::timestamp_ntz
        from table(data_source(type => 'STREAMING'))
    );

grant operate, monitor on pipe CLAUDE_LOGS.ACTIVITIES.landing_pipe to role CDESK_LOADER;

delete from CLAUDE_LOGS.ACTIVITIES.applied_setup where step = 'setup_snowflake';

insert into CLAUDE_LOGS.ACTIVITIES.applied_setup (step, fingerprint, applied_at) select 'setup_snowflake', 'ba066f07d2119e4e87bb039f01942f04', sysdate();

