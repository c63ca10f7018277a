{#
    `events` and what has landed since, numbered as the next build will. What is pending is worked
    out from landing itself, in this order so that nothing pending costs nothing: lines at or after
    the newest stored instant, without those stored, without repeated ids, checked, typed.
#}
{{ config(materialized='view') }}

{%- set names = cdesk.record_fields() | list %}

with

lines as (

    select landing.*
    from ({{ cdesk.landed_lines() }}) as landing
    where
        landing.kind = 'event'
        and landing.landed_at >= {{ cdesk.live_since() }}

),

unstored as (

    select * from lines
    where not exists (
        select 1
        from {{ ref('events') }} as stored
        where stored._landed_at = lines.landed_at and stored._activity_id = lines.id
    )

),

-- a line that repeats the id of an earlier accepted line
repeated as (

    select
        unstored.id,
        unstored.landed_at,
        unstored.source_file,
        unstored.source_offset
    from {{ ref('_ingest_ids') }} as ingest_ids
    inner join unstored on ingest_ids.id = unstored.id and ingest_ids.kind = unstored.kind
    where
        ingest_ids.landed_at != unstored.landed_at
        or ingest_ids.source_file != unstored.source_file
        or ingest_ids.source_offset != unstored.source_offset

),

checked as (

    select
        *,
        {{ cdesk.json_fields('payload', names) }} as all_fields,
        {{ cdesk.json_fields('payload', cdesk.record_fields('event') | list) }} as fields
    from unstored
    where not exists (
        select 1
        from repeated
        where
            repeated.id = unstored.id
            and {{ cdesk.same_line('repeated', 'unstored') }}
    )

),

pending as (

    select *
    from checked
    where {{ cdesk.rejection('kind', 'id', 'payload', 'all_fields', names) }} is null
    qualify
        row_number() over (
            partition by id
            order by landed_at, source_file, source_offset, {{ cdesk.json_compact('payload') }}
        ) = 1

),

new_events as (

    select
        {{ cdesk.recorded_event() }}
    from pending

),

numbered as (

    {{ cdesk.renumber(ref('events'), 'new_events') }}

),

unmoved as (

    select stored.*
    from {{ ref('events') }} as stored
    where not exists (
        select 1
        from numbered
        where
            numbered.customer = stored.customer
            and numbered.activity = stored.activity
            and numbered.ts = stored.ts
            and numbered._activity_id = stored._activity_id
    )

),

moved as (

    select {{ cdesk.numbered_event('stored') }}
    from {{ ref('events') }} as stored
    inner join numbered
        on
            stored.customer = numbered.customer
            and stored.ts = numbered.ts
            and stored._activity_id = numbered._activity_id
    where not numbered.is_new

),

added as (

    select {{ cdesk.numbered_event('new_events') }}
    from new_events
    inner join numbered on new_events._activity_id = numbered._activity_id

)

select * from unmoved
union all
select * from moved
union all
select * from added
