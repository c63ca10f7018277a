alter task if exists CLAUDE_LOGS.ACTIVITIES.apply_retention suspend;

create or replace task CLAUDE_LOGS.ACTIVITIES.apply_retention
    warehouse = CDESK_BUILD_WH
    schedule = 'USING CRON 17 3 * * * UTC'
as
execute immediate $$
begin
    update CLAUDE_LOGS.ACTIVITIES.context_cache set _as_of_day = cast('1000-01-01' as date) where lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null) and customer in (select distinct customer from CLAUDE_LOGS.ACTIVITIES.events where _landed_at < dateadd(day, -180, sysdate()));
    delete from CLAUDE_LOGS.ACTIVITIES.events where _landed_at < dateadd(day, -180, sysdate()) and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);
    delete from CLAUDE_LOGS.ACTIVITIES.landing where kind in ('event', 'revision', 'quarantine') and landed_at < dateadd(day, -180, sysdate()) and lower(cast(get(payload, 'customer') as varchar)) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);
    delete from CLAUDE_LOGS.ACTIVITIES.landing where kind in ('event', 'revision', 'quarantine') and landed_at < dateadd(day, -180, sysdate()) and cast(get(payload, 'customer') as varchar) is null and (select count(*) from CLAUDE_LOGS.ACTIVITIES.legal_holds) = 0;
    delete from CLAUDE_LOGS.ACTIVITIES.quarantined_events where landed_at < dateadd(day, -180, sysdate()) and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);
    delete from CLAUDE_LOGS.ACTIVITIES.quarantined_events where landed_at < dateadd(day, -180, sysdate()) and customer is null and (select count(*) from CLAUDE_LOGS.ACTIVITIES.legal_holds) = 0;
    delete from CLAUDE_LOGS.ACTIVITIES.landing where kind = 'artifact' and landed_at < dateadd(day, -90, sysdate()) and id in (select artifact_id from CLAUDE_LOGS.ACTIVITIES.artifacts where _landed_at < dateadd(day, -90, sysdate()) and expires_at < dateadd(day, -30, sysdate()) and not has_legal_hold and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null));
    delete from CLAUDE_LOGS.ACTIVITIES.artifacts where _landed_at < dateadd(day, -90, sysdate()) and expires_at < dateadd(day, -30, sysdate()) and not has_legal_hold and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);
    delete from CLAUDE_LOGS.ACTIVITIES.context_cache where updated_at < dateadd(day, -180, sysdate()) and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);
end
$$;

alter task CLAUDE_LOGS.ACTIVITIES.apply_retention resume;

update CLAUDE_LOGS.ACTIVITIES.context_cache set _as_of_day = cast('1000-01-01' as date) where lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null) and customer in (select distinct customer from CLAUDE_LOGS.ACTIVITIES.events where _landed_at < dateadd(day, -180, sysdate()));

delete from CLAUDE_LOGS.ACTIVITIES.events where _landed_at < dateadd(day, -180, sysdate()) and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);

delete from CLAUDE_LOGS.ACTIVITIES.landing where kind in ('event', 'revision', 'quarantine') and landed_at < dateadd(day, -180, sysdate()) and lower(cast(get(payload, 'customer') as varchar)) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);

delete from CLAUDE_LOGS.ACTIVITIES.landing where kind in ('event', 'revision', 'quarantine') and landed_at < dateadd(day, -180, sysdate()) and cast(get(payload, 'customer') as varchar) is null and (select count(*) from CLAUDE_LOGS.ACTIVITIES.legal_holds) = 0;

delete from CLAUDE_LOGS.ACTIVITIES.quarantined_events where landed_at < dateadd(day, -180, sysdate()) and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);

delete from CLAUDE_LOGS.ACTIVITIES.quarantined_events where landed_at < dateadd(day, -180, sysdate()) and customer is null and (select count(*) from CLAUDE_LOGS.ACTIVITIES.legal_holds) = 0;

delete from CLAUDE_LOGS.ACTIVITIES.landing where kind = 'artifact' and landed_at < dateadd(day, -90, sysdate()) and id in (select artifact_id from CLAUDE_LOGS.ACTIVITIES.artifacts where _landed_at < dateadd(day, -90, sysdate()) and expires_at < dateadd(day, -30, sysdate()) and not has_legal_hold and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null));

delete from CLAUDE_LOGS.ACTIVITIES.artifacts where _landed_at < dateadd(day, -90, sysdate()) and expires_at < dateadd(day, -30, sysdate()) and not has_legal_hold and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);

delete from CLAUDE_LOGS.ACTIVITIES.context_cache where updated_at < dateadd(day, -180, sysdate()) and lower(customer) not in (select lower(holds.customer) from CLAUDE_LOGS.ACTIVITIES.legal_holds as holds where holds.customer is not null);

