with

records as (

    {{ cdesk.landed_records('artifact') }}

),

typed as (

    select
        id as artifact_id,
        {{ cdesk.record_field('artifact', 'customer') }} as customer,
        {{ cdesk.record_field('artifact', 'ts') }} as created_at,
        {{ cdesk.record_field('artifact', 'uri') }} as uri,
        {{ cdesk.record_field('artifact', 'format') }} as format,
        {{ cdesk.record_field('artifact', 'rows') }} as row_count,
        {{ cdesk.record_field('artifact', 'bytes') }} as byte_count,
        {{ cdesk.record_field('artifact', 'sampled') }} as is_sampled,
        {{ cdesk.record_field('artifact', 'query_hash') }} as query_hash,
        {{ cdesk.record_field('artifact', 'expires_at') }} as expires_at,
        {{ cdesk.record_field('artifact', 'legal_hold') }} as has_legal_hold,
        {{ cdesk.record_field('artifact', 'session_id') }} as session_id,
        {{ cdesk.record_field('artifact', 'query_tag') }} as query_tag,
        landed_at as _landed_at,
        source_file as _source_file,
        source_offset as _source_offset
    from records

)

select * from typed
