with

records as (

    {{ cdesk.landed_records('insight') }}

),

typed as (

    select
        id as insight_id,
        {{ cdesk.record_field('insight', 'customer') }} as customer,
        {{ cdesk.record_field('insight', 'ts') }} as ts,
        {{ cdesk.record_field('insight', 'subject') }} as subject,
        {{ cdesk.record_field('insight', 'metric') }} as metric,
        {{ cdesk.record_field('insight', 'value') }} as value,
        {{ cdesk.record_field('insight', 'provenance_query_hash') }} as provenance_query_hash,
        {{ cdesk.record_field('insight', 'session_id') }} as session_id,
        {{ cdesk.record_field('insight', 'query_tag') }} as query_tag,
        landed_at as _landed_at,
        source_file as _source_file,
        source_offset as _source_offset
    from records

)

select * from typed
