update CLAUDE_LOGS.ACTIVITIES.context_cache set _as_of_day = cast('1000-01-01' as date) where customer = (select erasing.customer from erasing);

delete from CLAUDE_LOGS.ACTIVITIES._ingest_ids where exists (
    select 1 from CLAUDE_LOGS.ACTIVITIES.landing as landing
    where landing.landed_at = _ingest_ids.landed_at
        and landing.source_file = _ingest_ids.source_file
        and landing.source_offset = _ingest_ids.source_offset
        and landing.id = _ingest_ids.landing_id and landing.kind in ('event', 'revision', 'quarantine') and (case
            when landing.kind = 'quarantine'
                then cast(get(try_parse_json(cast(get(landing.payload, 'raw') as varchar)), 'customer') as varchar)
            else cast(get(landing.payload, 'customer') as varchar)
        end) = (select erasing.customer from erasing)
    and (case
            when landing.kind = 'quarantine'
                then cast(get(try_parse_json(cast(get(landing.payload, 'raw') as varchar)), 'source_system') as varchar)
            else cast(get(landing.payload, 'source_system') as varchar)
        end) in ('claude_code', 'cowork')
);

delete from CLAUDE_LOGS.ACTIVITIES.quarantined_events
where coalesce(customer, cast(get(try_parse_json(raw), 'customer') as varchar)) = (select erasing.customer from erasing) and cast(get(try_parse_json(raw), 'source_system') as varchar) in ('claude_code', 'cowork');

delete from CLAUDE_LOGS.ACTIVITIES.events where customer = (select erasing.customer from erasing) and _source_system in ('claude_code', 'cowork');

delete from CLAUDE_LOGS.ACTIVITIES.landing
where landing.kind in ('event', 'revision', 'quarantine') and (case
            when landing.kind = 'quarantine'
                then cast(get(try_parse_json(cast(get(landing.payload, 'raw') as varchar)), 'customer') as varchar)
            else cast(get(landing.payload, 'customer') as varchar)
        end) = (select erasing.customer from erasing)
    and (case
            when landing.kind = 'quarantine'
                then cast(get(try_parse_json(cast(get(landing.payload, 'raw') as varchar)), 'source_system') as varchar)
            else cast(get(landing.payload, 'source_system') as varchar)
        end) in ('claude_code', 'cowork');

update CLAUDE_LOGS.ACTIVITIES.events set activity_occurrence = numbered.occurrence, activity_repeated_at = numbered.repeated_at
from (
    select _activity_id,
        row_number() over (partition by customer, activity order by ts, _activity_id) as occurrence,
        lead(ts) over (partition by customer, activity order by ts, _activity_id) as repeated_at
    from CLAUDE_LOGS.ACTIVITIES.events
    where customer = (select erasing.customer from erasing)
) as numbered
where events._activity_id = numbered._activity_id and events.customer = (select erasing.customer from erasing);

