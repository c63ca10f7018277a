with

stored as (

    select
        artifact_id,
        created_at,
        uri,
        format,
        row_count,
        byte_count,
        is_sampled,
        query_hash,
        expires_at,
        has_legal_hold,
        session_id,
        query_tag
    from {{ ref('artifacts') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and artifact_id = {{ cdesk.bind('artifact_id') }}

)

select * from stored
