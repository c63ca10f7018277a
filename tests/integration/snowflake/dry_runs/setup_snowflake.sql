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

create schema if not exists CLAUDE_LOGS.ACTIVITIES_ACCESS with managed access;

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
        landed_at timestamp_ntz not null,
        landed_by varchar
    )
    cluster by (landed_at);

alter table CLAUDE_LOGS.ACTIVITIES.landing add column if not exists landed_by varchar;

create table if not exists CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access (principal_kind varchar, principal varchar, customer varchar);

create table if not exists CLAUDE_LOGS.ACTIVITIES.applied_setup (step varchar, fingerprint varchar, applied_at timestamp_ntz);

create table if not exists CLAUDE_LOGS.ACTIVITIES.legal_holds (customer varchar, reason varchar, placed_at timestamp_ntz);

create table if not exists CLAUDE_LOGS.ACTIVITIES.added_people (principal_kind varchar, principal varchar, customer varchar);

create table if not exists CLAUDE_LOGS.ACTIVITIES.build_marks (mark varchar, instant timestamp_ntz);

grant ownership on table CLAUDE_LOGS.ACTIVITIES.landing to role CDESK_TRANSFORMER copy current grants;

grant ownership on table CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access to role CDESK_TRANSFORMER copy current grants;

grant ownership on table CLAUDE_LOGS.ACTIVITIES.added_people to role CDESK_TRANSFORMER copy current grants;

grant ownership on table CLAUDE_LOGS.ACTIVITIES.applied_setup to role CDESK_TRANSFORMER copy current grants;

grant ownership on table CLAUDE_LOGS.ACTIVITIES.build_marks to role CDESK_TRANSFORMER copy current grants;

revoke imported privileges on database snowflake from role CDESK_TRANSFORMER;

grant ownership on table CLAUDE_LOGS.ACTIVITIES.legal_holds to role CDESK_ADMIN copy current grants;

alter account set allow_bind_values_access = false;

grant usage on database CLAUDE_LOGS to role CDESK_LOADER;

grant usage on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_LOADER;

grant usage on database CLAUDE_LOGS to role CDESK_TRANSFORMER;

grant usage on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_TRANSFORMER;

grant usage on database CLAUDE_LOGS to role CDESK_READER;

grant usage on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_READER;

grant usage on schema CLAUDE_LOGS.ACTIVITIES_ACCESS to role CDESK_TRANSFORMER;

grant ownership on schema CLAUDE_LOGS.ACTIVITIES_ACCESS to role CDESK_ADMIN copy current grants;

grant usage on warehouse CDESK_WH to role CDESK_LOADER;

grant usage on warehouse CDESK_WH to role CDESK_READER;

grant usage on warehouse CDESK_BUILD_WH to role CDESK_TRANSFORMER;

grant operate, monitor on warehouse CDESK_WH to role CDESK_ADMIN;

grant operate, monitor on warehouse CDESK_BUILD_WH to role CDESK_ADMIN;

grant select on table CLAUDE_LOGS.ACTIVITIES.landing to role CDESK_LOADER;

grant create semantic view on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_TRANSFORMER;

grant create procedure on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_TRANSFORMER;

grant create table, create view on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_TRANSFORMER;

grant select on future tables in schema CLAUDE_LOGS.ACTIVITIES to role CDESK_READER;

grant select on future views in schema CLAUDE_LOGS.ACTIVITIES to role CDESK_READER;

grant select on table CLAUDE_LOGS.ACTIVITIES.landing to role CDESK_READER;

grant create stream, create task, create dbt project on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_TRANSFORMER;

grant execute task on account to role CDESK_TRANSFORMER;

grant apply masking policy on account to role CDESK_ADMIN;

grant select on table CLAUDE_LOGS.ACTIVITIES.legal_holds to role CDESK_TRANSFORMER;

grant apply row access policy on account to role CDESK_ADMIN;

grant database role snowflake.governance_viewer to role CDESK_TRANSFORMER;

grant database role snowflake.usage_viewer to role CDESK_TRANSFORMER;

grant ownership on schema CLAUDE_LOGS.ACTIVITIES to role CDESK_ADMIN copy current grants;

revoke insert on table CLAUDE_LOGS.ACTIVITIES.landing from role CDESK_LOADER;

use role CDESK_TRANSFORMER;

create or replace procedure CLAUDE_LOGS.ACTIVITIES.land_lines(lines varchar, same_landing varchar)
returns varchar
language sql
execute as owner
as
$$
begin
    let previous timestamp_ntz := (
        select max(landed_at) from CLAUDE_LOGS.ACTIVITIES.landing where landed_at >= dateadd(day, -3, sysdate())
    );
    let given timestamp_ntz := (select try_cast(:same_landing as timestamp_ntz));
    let stamp timestamp_ntz := (
        select
            case
                when :given >= dateadd(minute, -10, sysdate())
                    and :given <= dateadd(minute, 1, sysdate())
                    then :given
                else greatest(sysdate(), coalesce(dateadd(microsecond, 1, :previous), sysdate()))
            end
    );
    insert into CLAUDE_LOGS.ACTIVITIES.landing
        (id, kind, payload, source_file, source_offset, landed_at, landed_by)
    select
        cast(get(line.value, 0) as varchar),
        cast(get(line.value, 1) as varchar),
        parse_json(cast(get(line.value, 2) as varchar), 'd'),
        cast(get(line.value, 3) as varchar),
        cast(get(line.value, 4) as number(38, 0)),
        :stamp,
        current_user()
    from table(flatten(input => parse_json(:lines))) as line
    where not exists (
        select 1
        from CLAUDE_LOGS.ACTIVITIES.landing as landed
        where
            landed.landed_at >= dateadd(day, -3, :stamp)
            and landed.id = cast(get(line.value, 0) as varchar)
            and landed.source_file = cast(get(line.value, 3) as varchar)
            and landed.source_offset = cast(get(line.value, 4) as number(38, 0))
    );
    return to_varchar(:stamp, 'YYYY-MM-DD HH24:MI:SS.FF6') || '|'
        || coalesce(to_varchar(:previous, 'YYYY-MM-DD HH24:MI:SS.FF6'), '');
end
$$;

use role CDESK_ADMIN;

create pipe if not exists CLAUDE_LOGS.ACTIVITIES.landing_pipe as
    copy into CLAUDE_LOGS.ACTIVITIES.landing (id, kind, payload, source_file, source_offset, landed_at, landed_by)
    from (
        select
            $1:id::varchar,
            $1:kind::varchar,
            parse_json($1:payload::varchar, 'd'),
            $1:source_file::varchar,
            $1:source_offset::number(38, 0),
            $1:landed_at::timestamp_ntz,
            'LANDING_PIPE'
        from table(data_source(type => 'STREAMING'))
    );

grant usage on procedure CLAUDE_LOGS.ACTIVITIES.land_lines(varchar, varchar) to role CDESK_LOADER;

grant operate, monitor on pipe CLAUDE_LOGS.ACTIVITIES.landing_pipe to role CDESK_SERVICE;

delete from CLAUDE_LOGS.ACTIVITIES.applied_setup where step = 'setup_snowflake';

insert into CLAUDE_LOGS.ACTIVITIES.applied_setup (step, fingerprint, applied_at) select 'setup_snowflake', '19d12861f5bef22e858f2c6c5d68fe46', sysdate();

