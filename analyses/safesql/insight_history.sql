with

insights as (

    select
        insight_id,
        ts,
        value,
        is_current,
        superseded_at,
        verified,
        verification_reason,
        provenance_query_hash,
        provenance_template,
        session_id
    from {{ ref('insight_atoms') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and subject = {{ cdesk.bind('subject') }}
        and metric = {{ cdesk.bind('metric') }}

)

select * from insights
{{ cdesk.first_rows('ts desc, insight_id desc') }}
