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
    {%- set names = fields | list -%}
    {%- set since = cdesk.live_since() %}
    with

    lines as (

        select landing.*
        from ({{ cdesk.landed_lines() }}) as landing
        where
            landing.kind in ('event', 'revision')
            and landing.landed_at >= {{ since }}

    ),

    unstored as {{ cdesk.materialized() }} (

        select * from lines
        where not exists (
            select 1
            from {{ ref('events') }} as stored
            where
                stored._landed_at >= {{ since }}
                and stored._landed_at = lines.landed_at
                and stored._activity_id = lines.id
        )

    ),

    keys as (

        select distinct {{ cdesk.try_compact_key('id') }} as id_key
        from unstored

    ),

    known as {{ cdesk.materialized() }} (

        {{ cdesk.known_ids(ref('_ingest_ids'), 'keys', since) | indent(8) }}

    ),

    -- a line that repeats the id of an earlier accepted line
    repeated as (

        select
            unstored.kind,
            unstored.id,
            unstored.landed_at,
            unstored.source_file,
            unstored.source_offset
        from known
        inner join unstored on known.id = unstored.id and known.kind = unstored.kind
        where
            known.landed_at != unstored.landed_at
            or known.source_file != unstored.source_file
            or known.source_offset != unstored.source_offset

    ),

    -- the fields of an event stand first among the names, so that they are found in there, too
    checked as (

        select
            *,
            {{ cdesk.json_fields('payload', names) }} as fields
        from unstored
        where not exists (
            select 1
            from repeated
            where
                repeated.kind = unstored.kind
                and repeated.id = unstored.id
                and {{ cdesk.same_line('repeated', 'unstored') }}
        )

    ),

    accepted as {{ cdesk.materialized() }} (

        select *
        from checked
        where
            {{ cdesk.rejection('kind', 'id', 'payload', 'fields', names, kinds) }}
            is null

    ),

    doubled as (

        select
            kind,
            id
        from unstored
        group by kind, id
        having count(*) > 1

    ),

    -- few ids come twice, and only theirs are put in order
    pending as (

        select accepted.*
        from accepted
        where not exists (
            select 1
            from doubled
            where doubled.kind = accepted.kind and doubled.id = accepted.id
        )
        union all
        select accepted.*
        from accepted
        inner join doubled on accepted.kind = doubled.kind and accepted.id = doubled.id
        qualify
            row_number() over (
                partition by accepted.kind, accepted.id
                order by
                    accepted.landed_at, accepted.source_file, accepted.source_offset,
                    {{ cdesk.json_compact('accepted.payload') }}
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
