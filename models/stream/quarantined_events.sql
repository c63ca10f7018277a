{#
    Exact because `_ingest_ids` holds each refused line once, and this table takes those at or after its own newest that it doesn't hold yet.
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
            when landing.kind = 'quarantine' then {{ cdesk.json_string('landing.payload', 'detail') }}
            else {{ dbt.split_part('new_refused.rejection', "': '", 2) }}
        end as detail,
        case
            when landing.kind = 'quarantine' then {{ cdesk.json_string('landing.payload', 'raw') }}
            else {{ cdesk.json_compact('landing.payload') }}
        end as raw,
        case when landing.kind != 'quarantine' then {{ cdesk.json_string('landing.payload', 'customer') }} end as customer,
        landing.source_file,
        landing.source_offset,
        landing.landed_at
    from new_refused
    inner join landing
        on
            new_refused.landed_at = landing.landed_at
            and new_refused.source_file = landing.source_file
            and new_refused.source_offset = landing.source_offset
            and new_refused.landing_id = landing.id
    qualify
        row_number() over (
            partition by new_refused.id
            order by {{ cdesk.json_compact('landing.payload') }}
        ) = 1

)

select * from lines
