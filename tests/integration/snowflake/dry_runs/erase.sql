insert into CLAUDE_LOGS.ACTIVITIES.erasures (erasure_id, customer_hash, erased_at, hash_key)
select uuid_string(), sha2(keyed.hash_key || sha2(keyed.hash_key || keyed.customer, 256), 256), keyed.erased_at, keyed.hash_key
from (select erasing.customer, erasing.erased_at, (select coalesce(max(known.hash_key), uuid_string()) from CLAUDE_LOGS.ACTIVITIES.erasures as known) as hash_key from erasing) as keyed;

delete from CLAUDE_LOGS.ACTIVITIES._ingest_ids where exists (
    select 1 from CLAUDE_LOGS.ACTIVITIES.landing as landing
    where landing.landed_at = _ingest_ids.landed_at and landing.source_file = _ingest_ids.source_file
        and landing.source_offset = _ingest_ids.source_offset
        and landing.id = _ingest_ids.landing_id
        and ((case
            when landing.kind = 'quarantine'
                then cast(get(try_parse_json(cast(get(landing.payload, 'raw') as varchar)), 'customer') as varchar)
            else cast(get(landing.payload, 'customer') as varchar)
        end) = (select erasing.customer from erasing) or (landing.kind = 'quarantine' and (case
            when landing.kind = 'quarantine'
                then cast(get(try_parse_json(cast(get(landing.payload, 'raw') as varchar)), 'customer') as varchar)
            else cast(get(landing.payload, 'customer') as varchar)
        end) is null and contains(cast(get(landing.payload, 'raw') as varchar), (select erasing.customer from erasing))))
);

delete from CLAUDE_LOGS.ACTIVITIES._ingest_ids where kind = 'event' and id in (select theirs._activity_id from CLAUDE_LOGS.ACTIVITIES.events as theirs where theirs.customer = (select erasing.customer from erasing));

delete from CLAUDE_LOGS.ACTIVITIES._ingest_ids where kind = 'insight' and id in (select theirs.insight_id from CLAUDE_LOGS.ACTIVITIES.insight_atoms as theirs where theirs.customer = (select erasing.customer from erasing));

delete from CLAUDE_LOGS.ACTIVITIES._ingest_ids where kind = 'query_run' and id in (select theirs.query_run_id from CLAUDE_LOGS.ACTIVITIES.provenance_chain as theirs where theirs.customer = (select erasing.customer from erasing));

delete from CLAUDE_LOGS.ACTIVITIES._ingest_ids where kind = 'artifact' and id in (select theirs.artifact_id from CLAUDE_LOGS.ACTIVITIES.artifacts as theirs where theirs.customer = (select erasing.customer from erasing));

delete from CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access where customer = (select erasing.customer from erasing);

delete from CLAUDE_LOGS.ACTIVITIES.added_people where customer = (select erasing.customer from erasing);

delete from CLAUDE_LOGS.ACTIVITIES.events where customer = (select erasing.customer from erasing);

delete from CLAUDE_LOGS.ACTIVITIES.insight_atoms where customer = (select erasing.customer from erasing);

delete from CLAUDE_LOGS.ACTIVITIES.provenance_chain where customer = (select erasing.customer from erasing);

delete from CLAUDE_LOGS.ACTIVITIES.context_cache where customer = (select erasing.customer from erasing);

delete from CLAUDE_LOGS.ACTIVITIES.artifacts where customer = (select erasing.customer from erasing);

delete from CLAUDE_LOGS.ACTIVITIES.quarantined_events
where coalesce(customer, cast(get(try_parse_json(raw), 'customer') as varchar)) = (select erasing.customer from erasing) or (coalesce(customer, cast(get(try_parse_json(raw), 'customer') as varchar)) is null and contains(raw, (select erasing.customer from erasing)));

delete from CLAUDE_LOGS.ACTIVITIES.landing
where ((case
            when landing.kind = 'quarantine'
                then cast(get(try_parse_json(cast(get(landing.payload, 'raw') as varchar)), 'customer') as varchar)
            else cast(get(landing.payload, 'customer') as varchar)
        end) = (select erasing.customer from erasing) or (landing.kind = 'quarantine' and (case
            when landing.kind = 'quarantine'
                then cast(get(try_parse_json(cast(get(landing.payload, 'raw') as varchar)), 'customer') as varchar)
            else cast(get(landing.payload, 'customer') as varchar)
        end) is null and contains(cast(get(landing.payload, 'raw') as varchar), (select erasing.customer from erasing))));

