{#
    Exact because `_ingest_ids` holds each refused line once, and this table takes those at or after
    its own newest that it doesn't hold yet.
#}
{{ config(incremental_strategy='append', unique_key='quarantine_id') }}

with

refused as (

    select * from {{ ref('_ingest_ids') }}
    where kind = 'quarantine'

),

new_refused as (

    select * from refused
    {% if is_incremental() %}
    where
        landed_at >= {{ cdesk.since(this, 'landed_at') }}
        and id not in (select known.quarantine_id from {{ this }} as known)
    {% endif %}

),

-- where the record stands that had the id before
originals as (

    select
        conflicts.id,
        firsts.kind,
        'first landed as '
        || min(firsts.source_file || ':' || cast(firsts.source_offset as varchar)) as detail
    from new_refused as conflicts
    inner join {{ ref('_ingest_ids') }} as firsts
        on conflicts.landing_id = firsts.id
    where conflicts.rejection = 'id_conflict' and firsts.kind != 'quarantine'
    group by conflicts.id, firsts.kind

),

landing as (

    select * from {{ source('cdesk', 'landing') }}

),

lines as (

    select
        new_refused.id as quarantine_id,
        landing.id as record_id,
        landing.kind,
        {{ dbt.split_part('new_refused.rejection', "': '", 1) }} as reason,
        case
            when new_refused.rejection = 'id_conflict' then originals.detail
            when landing.kind = 'quarantine'
                then {{ cdesk.json_string('landing.payload', 'detail') }}
            else {{ dbt.split_part('new_refused.rejection', "': '", 2) }}
        end as detail,
        case
            when landing.kind = 'quarantine' then {{ cdesk.json_string('landing.payload', 'raw') }}
            else {{ cdesk.json_compact('landing.payload') }}
        end as raw,
        case
            when landing.kind != 'quarantine'
                then {{ cdesk.json_string('landing.payload', 'customer') }}
        end as customer,
        landing.source_file,
        landing.source_offset,
        landing.landed_at
    from new_refused
    inner join landing
        on
            {{ cdesk.same_line('new_refused', 'landing') }}
            and new_refused.landing_id = landing.id
    left join originals on new_refused.id = originals.id and landing.kind = originals.kind
    qualify
        row_number() over (
            partition by new_refused.id
            order by {{ cdesk.json_compact('landing.payload') }}
        ) = 1

)

select * from lines
