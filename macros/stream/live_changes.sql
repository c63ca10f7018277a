{#
    The activities that `events_live` shows otherwise than `events` does: what has landed since the
    last build, numbered as the next build will, and the stored ones that it renumbers or revises. A
    query to stand in parentheses.

    Worked out from landing itself, in this order so that nothing pending costs nothing: lines at or
    after the newest stored instant, without those stored, without repeated ids, checked, typed.
#}
{% macro live_changes() -%}
    {%- set kinds = ['event', 'revision'] -%}
    {%- set fields = dict(cdesk.record_fields('event')) -%}
    {%- do fields.update(cdesk.record_fields('revision')) -%}
    {%- set names = fields | list %}
    with

    lines as (

        select landing.*
        from ({{ cdesk.landed_lines() }}) as landing
        where
            landing.kind in ('event', 'revision')
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
        where
            {{ cdesk.rejection('kind', 'id', 'payload', 'all_fields', names, kinds) }}
            is null
        qualify
            row_number() over (
                partition by kind, id
                order by landed_at, source_file, source_offset, {{ cdesk.json_compact('payload') }}
            ) = 1

    ),

    added as (

        select
            {{ cdesk.recorded_event() }}
        from pending
        where kind = 'event'

    ),

    pending_revisions as (

        select
            id,
            {{ cdesk.json_fields('payload', cdesk.record_fields('revision') | list) }} as fields
        from pending
        where kind = 'revision'

    ),

    typed_revisions as (

        select
            {{ cdesk.recorded_revision() }}
        from pending_revisions

    ),

    revisable as (

        select {{ cdesk.compact_key('_activity_id') }} as replaces_key from added
        union all
        select {{ cdesk.compact_key('_activity_id') }} as replaces_key from typed_revisions

    ),

    known_revisions as (

        {{ cdesk.latest_revisions('revisable', cdesk.oldest_revision()) }}

    ),

    all_revisions as (

        select * from typed_revisions
        union all
        select * from known_revisions

    ),

    revised as (

        select *
        from all_revisions
        qualify {{ cdesk.latest_revision() }}

    ),

    new_events as (

        select
            {{ cdesk.revised_event('added') }}
        from added
        left join revised
            on
                {{ cdesk.is_revised_by('added', 'revised') }}

    ),

    numbered as (

        {{ cdesk.renumber(ref('events'), 'new_events') }}

    ),

    changed as (

        {{ cdesk.changed_events(ref('events')) }}

    ),

    moved as (

        select
            {{ cdesk.revised_event('stored') }}
        from {{ ref('events') }} as stored
        inner join changed
            on
                stored.customer = changed.customer
                and stored.ts = changed.ts
                and stored._activity_id = changed._activity_id
        left join revised
            on
                {{ cdesk.is_revised_by('stored', 'revised') }}
        where not changed.is_new

    ),

    detailed as (

        select * from moved
        union all
        select * from new_events

    ),

    renumbered as (

        select {{ cdesk.numbered_event('detailed', numbered='changed') }}
        from detailed
        inner join changed on detailed._activity_id = changed._activity_id

    )

    select * from renumbered
{%- endmacro %}
