create or replace temporary table forgotten_runs as
select distinct runs.query_run_id, runs.query_hash, coalesce(runs.artifact_id, '') as artifact_id
from CLAUDE_LOGS.ACTIVITIES.provenance_chain as runs
left join (
    select distinct activity from CLAUDE_LOGS.ACTIVITIES.events
    where customer = (select erasing.customer from erasing) and _source_system in ('claude_code', 'cowork')
) as captured on contains(cast(runs.params as TEXT), captured.activity)
where runs.customer = (select erasing.customer from erasing) and runs.executed_at >= (select min(_landed_at) from CLAUDE_LOGS.ACTIVITIES.events
    where customer = (select erasing.customer from erasing) and _source_system in ('claude_code', 'cowork'))
    and (captured.activity is not null or not contains(cast(runs.params as TEXT), 'cdesk.'));

create or replace temporary table forgotten_insights as
select insight_id, subject, metric
from CLAUDE_LOGS.ACTIVITIES.insight_atoms
where customer = (select erasing.customer from erasing) and _landed_at >= (select min(_landed_at) from CLAUDE_LOGS.ACTIVITIES.events
    where customer = (select erasing.customer from erasing) and _source_system in ('claude_code', 'cowork'))
    and provenance_query_hash in (select query_hash from forgotten_runs);

delete from CLAUDE_LOGS.ACTIVITIES._ingest_ids
where kind = 'query_run' and id in (select query_run_id from forgotten_runs)
    or kind = 'artifact' and id in (select artifact_id from forgotten_runs)
    or kind = 'insight' and id in (select insight_id from forgotten_insights);

delete from CLAUDE_LOGS.ACTIVITIES.landing
where kind = 'query_run' and id in (select query_run_id from forgotten_runs)
    or kind = 'artifact' and id in (select artifact_id from forgotten_runs)
    or kind = 'insight' and id in (select insight_id from forgotten_insights);

delete from CLAUDE_LOGS.ACTIVITIES.provenance_chain where query_run_id in (select query_run_id from forgotten_runs);

delete from CLAUDE_LOGS.ACTIVITIES.artifacts where artifact_id in (select artifact_id from forgotten_runs);

delete from CLAUDE_LOGS.ACTIVITIES.insight_atoms where insight_id in (select insight_id from forgotten_insights);

update CLAUDE_LOGS.ACTIVITIES.insight_atoms set _judged_by = ''
where customer = (select erasing.customer from erasing) and exists (
    select 1 from forgotten_insights as gone where gone.subject = insight_atoms.subject and gone.metric = insight_atoms.metric);

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

