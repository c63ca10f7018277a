{#
    Exact because every landed line gets one key, (kind, id), and the first line of a key wins:
    lines of earlier builds are in this table, and among those of this build the smallest
    (landed_at, source_file, source_offset) is taken. A line that is refused has the key of its
    place in its file, so that a corrected record may be landed under the same id; and so has a
    record whose id came before with other content (`id_conflict`). The same content again is a
    repetition, and dropped.

    Everything downstream reads landing through this table: a line that lands while a build runs is
    left to the next build by all models alike.
#}
{{
    config(
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        unique_key=['kind', 'id'],
        cluster_by=['landed_at'],
        post_hook="{{ cdesk.note_build_marks('landed_at', revisions=true) }}",
    )
}}

{%- set names = cdesk.record_fields() | list -%}
{%- set content_hash = cdesk.hash_text(cdesk.record_content('fields', names)) -%}
{%- set in_order = (
    'partition by keyed.kind, keyed.id '
    ~ 'order by keyed.landed_at, keyed.source_file, keyed.source_offset, keyed.content_key'
) -%}
{%- set since = cdesk.since(this, 'landed_at') if is_incremental() %}

with

{% if is_incremental() %}
-- the lines of the newest instant, which is read again: not worth a second check
read_before as (

    select * from {{ this }}
    where landed_at >= {{ since }}

),
{% endif %}

landing as (

    select lines.*
    from ({{ cdesk.landed_lines() }}) as lines
    {% if is_incremental() %}
    where
        lines.landed_at >= {{ since }}
        and not exists (
            select 1
            from read_before
            where
                {{ cdesk.same_line('read_before', 'lines') }}
                and read_before.landing_id = lines.id
        )
    {% endif %}

),

parsed as (

    select
        *,
        {{ cdesk.json_fields('payload', names) }} as fields,
        {{ cdesk.quarantine_id('source_file', 'source_offset') }} as quarantine_id
    from landing

),

judged as (

    select
        *,
        case
            when kind = 'quarantine'
                then coalesce({{ cdesk.json_string('payload', 'reason') }}, 'unknown')
            else {{ cdesk.rejection('kind', 'id', 'payload', 'fields', names) }}
        end as rejection,
        {{ cdesk.compact_key('left(' ~ content_hash ~ ', 32)') }} as content_key,
        {{ cdesk.json_text(cdesk.json_field('fields', names, 'replaces')) }} as replaces,
        {{ cdesk.try_bigint(cdesk.json_text(cdesk.json_field('fields', names, 'revision'))) }}
            as revision
    from parsed

),

keyed as {{ cdesk.materialized() }} (

    select
        case when rejection is null then kind else 'quarantine' end as kind,
        case when rejection is null then id else quarantine_id end as id,
        id as landing_id,
        quarantine_id,
        rejection,
        case when rejection is null then content_key end as content_key,
        case when rejection is null and kind = 'revision' then replaces end as replaces,
        case when rejection is null and kind = 'revision' then revision end as revision,
        source_file,
        source_offset,
        landed_at
    from judged

),

{% if is_incremental() %}
keys as (

    select distinct {{ cdesk.compact_key('id') }} as id_key
    from keyed

),

held as (

    {{ cdesk.known_ids(this, 'keys', since) | indent }}

),

-- what came first under an id that comes with other content now: a version before may have noted
-- its content in another way, or not at all. By itself, as nearly always nothing is, and landing
-- needn't be read then
doubted as {{ cdesk.materialized() }} (

    select held.*
    from held
    where exists (
        select 1
        from keyed
        where
            keyed.kind = held.kind
            and keyed.id = held.id
            and (held.content_key is null or held.content_key != keyed.content_key)
    )

),

doubted_lines as (

    select
        doubted.kind,
        doubted.id,
        {{ cdesk.json_fields('landing.payload', names) }} as fields
    from doubted
    inner join {{ source('cdesk', 'landing') }} as landing
        on {{ cdesk.same_line('doubted', 'landing') }} and doubted.landing_id = landing.id

),

read_again as (

    select
        kind,
        id,
        min({{ cdesk.compact_key('left(' ~ content_hash ~ ', 32)') }}) as content_key
    from doubted_lines
    group by kind, id

),
{% endif %}

positions as (

    select
        keyed.*,
        {% if is_incremental() %}
        held.id is not null as is_held,
        coalesce(
            read_again.content_key,
            held.content_key,
            first_value(keyed.content_key) over ({{ in_order }})
        ) as first_content_key,
        {% else %}
        first_value(keyed.content_key) over ({{ in_order }}) as first_content_key,
        {% endif %}
        row_number() over ({{ in_order }}) as position,
        count(*) over (
            partition by
                keyed.landing_id, keyed.landed_at, keyed.source_file, keyed.source_offset
        ) as copies
    from keyed
    {% if is_incremental() %}
    left join held on keyed.kind = held.kind and keyed.id = held.id
    left join read_again on keyed.kind = read_again.kind and keyed.id = read_again.id
    {% endif %}

),

first_landed as (

    select * from positions
    where position = 1 {% if is_incremental() %}and not is_held{% endif %}

),

-- the same id with other content; a loader that repeats a transaction at one place is told apart by
-- `copies`
conflicts as (

    select positions.*
    from positions
    where
        positions.content_key != positions.first_content_key
        and not exists (
            select 1
            from first_landed
            where
                first_landed.kind = positions.kind
                and first_landed.id = positions.id
                and {{ cdesk.same_line('first_landed', 'positions') }}
        )

),

refused as (

    select
        quarantine_id as id,
        landing_id,
        rejection,
        source_file,
        source_offset,
        landed_at,
        copies
    from first_landed
    where kind = 'quarantine'
    union all
    select
        quarantine_id as id,
        landing_id,
        'id_conflict' as rejection,
        source_file,
        source_offset,
        landed_at,
        copies
    from conflicts
    {% if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as known
        where
            known.kind = 'quarantine'
            and known.id_key = {{ cdesk.compact_key('conflicts.quarantine_id') }}
    )
    {% endif %}

),

-- one place may hold a refused line and, landed another time, a conflict
first_refused as (

    select *
    from refused
    qualify
        row_number() over (
            partition by id
            order by landed_at, source_file, source_offset, rejection, landing_id
        ) = 1

),

new_ids as (

    select
        kind,
        id,
        {{ cdesk.compact_key('id') }} as id_key,
        landing_id,
        rejection,
        content_key,
        source_file,
        source_offset,
        landed_at,
        copies,
        {{ cdesk.compact_key('replaces') }} as replaces_key,
        revision
    from first_landed
    where kind != 'quarantine'
    union all
    select
        'quarantine' as kind,
        id,
        {{ cdesk.compact_key('id') }} as id_key,
        landing_id,
        rejection,
        null as content_key,
        source_file,
        source_offset,
        landed_at,
        copies,
        null as replaces_key,
        null as revision
    from first_refused

)

select * from new_ids
