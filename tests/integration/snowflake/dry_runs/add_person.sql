grant role CDESK_LOADER to user ADA;

grant role CDESK_READER to user ADA;

use role CDESK_TRANSFORMER;

insert into CLAUDE_LOGS.ACTIVITIES.added_people (principal_kind, principal, customer)
select entry.* from (select 'user' as principal_kind, 'ADA' as principal, 'ada@example.com' as customer) as entry
where not exists (select 1 from CLAUDE_LOGS.ACTIVITIES.added_people as known where known.principal_kind = entry.principal_kind and known.principal = entry.principal and known.customer = entry.customer);

insert into CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access (principal_kind, principal, customer)
select entry.* from (select 'user' as principal_kind, 'ADA' as principal, 'ada@example.com' as customer) as entry
where not exists (select 1 from CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access as known where known.principal_kind = entry.principal_kind and known.principal = entry.principal and known.customer = entry.customer);

use role CDESK_ADMIN;

create pipe if not exists CLAUDE_LOGS.ACTIVITIES.landing_pipe_ADA as
    copy into CLAUDE_LOGS.ACTIVITIES.landing (id, kind, payload, source_file, source_offset, landed_at, landed_by)
    from (
        select
            $1:id::varchar,
            $1:kind::varchar,
            parse_json($1:payload::varchar, 'd'),
            $1:source_file::varchar,
            $1:source_offset::number(38, 0),
            $1:landed_at::timestamp_ntz,
            'ADA'
        from table(data_source(type => 'STREAMING'))
    );

use role securityadmin;

create role if not exists CDESK_PIPE_ADA;

grant role CDESK_PIPE_ADA to user ADA;

grant role CDESK_LOADER to role CDESK_PIPE_ADA;

use role CDESK_ADMIN;

grant operate, monitor on pipe CLAUDE_LOGS.ACTIVITIES.landing_pipe_ADA to role CDESK_PIPE_ADA;

