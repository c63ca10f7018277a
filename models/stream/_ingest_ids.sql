{#
    Exact because every landed line gets one key, (kind, id), and the first line of a key wins: lines of earlier builds are in this table, and among
    those of this build the smallest (landed_at, source_file, source_offset) is taken. A line that is refused has the key of its place in its file,
    so that a corrected record may be landed under the same id.

    Everything downstream reads landing through this table: a line that lands while a build runs is left to the next build by all models alike.
#}
{{
    config(
        incremental_strategy='append',
        unique_key=['kind', 'id'],
        cluster_by=['landed_at'],
    )
}}

{%- set names = cdesk.record_fields() | list -%}
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
    from {{ source('cdesk', 'landing') }} as lines
    {% if is_incremental() %}
    where
        lines.landed_at >= {{ since }}
        and not exists (
            select 1
            from read_before
            where
                read_before.landed_at = lines.landed_at
                and read_before.source_file = lines.source_file
                and read_before.source_offset = lines.source_offset
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
            when kind = 'quarantine' then coalesce({{ cdesk.json_string('payload', 'reason') }}, 'unknown')
            else {{ cdesk.rejection('kind', 'id', 'payload', 'fields', names) }}
        end as rejection
    from parsed

),

keyed as (

    select
        case when rejection is null then kind else 'quarantine' end as kind,
        case when rejection is null then id else quarantine_id end as id,
        id as landing_id,
        rejection,
        source_file,
        source_offset,
        landed_at
    from judged

),

positions as (

    select
        *,
        row_number() over (partition by kind, id order by landed_at, source_file, source_offset) as position,
        count(*) over (partition by kind, id, landed_at, source_file, source_offset) as copies
    from keyed

),

first_landed as (

    select
        kind,
        id,
        {{ cdesk.compact_key('id') }} as id_key,
        landing_id,
        rejection,
        source_file,
        source_offset,
        landed_at,
        copies
    from positions
    where position = 1

),

new_ids as (

    select * from first_landed
    {% if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as known
        where known.id_key = first_landed.id_key and known.kind = first_landed.kind
    )
    {% endif %}

)

select * from new_ids
