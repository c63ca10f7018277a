create row access policy if not exists CLAUDE_LOGS.ACTIVITIES.customer_rows as (row_customer varchar) returns boolean ->
current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN')
    or (
        current_role() = 'CDESK_SERVICE'
        and coalesce(getvariable('CDESK_SCOPE') = 'org' or row_customer = getvariable('CDESK_CUSTOMER'), false)
    )
    or exists (
        select 1
        from CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access as access
        where
            current_role() != 'CDESK_SERVICE'
            and ((access.principal_kind = 'user' and upper(access.principal) = current_user()) or (access.principal_kind = 'role' and is_role_in_session(access.principal)))
            and access.customer = row_customer
    )
    or exists (
        select 1
        from CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access as access
        where
            current_role() != 'CDESK_SERVICE'
            and ((access.principal_kind = 'user' and upper(access.principal) = current_user()) or (access.principal_kind = 'role' and is_role_in_session(access.principal)))
            and access.customer = '*'
    );

alter row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows set body ->
current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN')
    or (
        current_role() = 'CDESK_SERVICE'
        and coalesce(getvariable('CDESK_SCOPE') = 'org' or row_customer = getvariable('CDESK_CUSTOMER'), false)
    )
    or exists (
        select 1
        from CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access as access
        where
            current_role() != 'CDESK_SERVICE'
            and ((access.principal_kind = 'user' and upper(access.principal) = current_user()) or (access.principal_kind = 'role' and is_role_in_session(access.principal)))
            and access.customer = row_customer
    )
    or exists (
        select 1
        from CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access as access
        where
            current_role() != 'CDESK_SERVICE'
            and ((access.principal_kind = 'user' and upper(access.principal) = current_user()) or (access.principal_kind = 'role' and is_role_in_session(access.principal)))
            and access.customer = '*'
    );

create row access policy if not exists CLAUDE_LOGS.ACTIVITIES.internal_rows as (row_key varchar) returns boolean ->
current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') or invoker_role() = 'CDESK_TRANSFORMER';

alter row access policy CLAUDE_LOGS.ACTIVITIES.internal_rows set body ->
current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') or invoker_role() = 'CDESK_TRANSFORMER';

create row access policy if not exists CLAUDE_LOGS.ACTIVITIES.landing_rows as (row_key varchar) returns boolean ->
current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') or invoker_role() = 'CDESK_TRANSFORMER' or current_role() = 'CDESK_LOADER';

alter row access policy CLAUDE_LOGS.ACTIVITIES.landing_rows set body ->
current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') or invoker_role() = 'CDESK_TRANSFORMER' or current_role() = 'CDESK_LOADER';

create row access policy if not exists CLAUDE_LOGS.ACTIVITIES.access_rows as (row_kind varchar, row_principal varchar) returns boolean ->
current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') or invoker_role() = 'CDESK_TRANSFORMER' or ((row_kind = 'user' and upper(row_principal) = current_user()) or (row_kind = 'role' and is_role_in_session(row_principal)));

alter row access policy CLAUDE_LOGS.ACTIVITIES.access_rows set body ->
current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') or invoker_role() = 'CDESK_TRANSFORMER' or ((row_kind = 'user' and upper(row_principal) = current_user()) or (row_kind = 'role' and is_role_in_session(row_principal)));

grant apply on row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows to role CDESK_TRANSFORMER;

grant apply on row access policy CLAUDE_LOGS.ACTIVITIES.internal_rows to role CDESK_TRANSFORMER;

grant apply on row access policy CLAUDE_LOGS.ACTIVITIES.landing_rows to role CDESK_TRANSFORMER;

grant apply on row access policy CLAUDE_LOGS.ACTIVITIES.access_rows to role CDESK_TRANSFORMER;

alter table CLAUDE_LOGS.ACTIVITIES.landing add row access policy CLAUDE_LOGS.ACTIVITIES.landing_rows on (id);

alter table CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access add row access policy CLAUDE_LOGS.ACTIVITIES.access_rows on (principal_kind, principal);

alter table CLAUDE_LOGS.ACTIVITIES.added_people add row access policy CLAUDE_LOGS.ACTIVITIES.internal_rows on (principal_kind);

alter table CLAUDE_LOGS.ACTIVITIES.legal_holds add row access policy CLAUDE_LOGS.ACTIVITIES.internal_rows on (customer);

alter table CLAUDE_LOGS.ACTIVITIES.build_marks add row access policy CLAUDE_LOGS.ACTIVITIES.internal_rows on (mark);

alter view CLAUDE_LOGS.ACTIVITIES.vw_llm_events add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.vw_file_events add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.vw_sql_events add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.obs_query_costs add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.stg_events add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.stg_artifacts add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.stg_insights add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.stg_query_runs add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.events_live add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter table CLAUDE_LOGS.ACTIVITIES.erasures add row access policy CLAUDE_LOGS.ACTIVITIES.internal_rows on (erasure_id);

alter table CLAUDE_LOGS.ACTIVITIES._ingest_ids add row access policy CLAUDE_LOGS.ACTIVITIES.internal_rows on (kind);

alter table CLAUDE_LOGS.ACTIVITIES.quarantined_events add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.landed_imports add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.unstored_activities add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter table CLAUDE_LOGS.ACTIVITIES.events add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter view CLAUDE_LOGS.ACTIVITIES.artifact_retention add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter table CLAUDE_LOGS.ACTIVITIES.provenance_chain add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter table CLAUDE_LOGS.ACTIVITIES.context_cache add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

alter table CLAUDE_LOGS.ACTIVITIES.artifacts add row access policy CLAUDE_LOGS.ACTIVITIES.customer_rows on (customer);

delete from CLAUDE_LOGS.ACTIVITIES.applied_setup where step = 'apply_row_access';

insert into CLAUDE_LOGS.ACTIVITIES.applied_setup (step, fingerprint, applied_at) select 'apply_row_access', 'dfad4e4bb86c35be5f8421155e839ca4', sysdate();

