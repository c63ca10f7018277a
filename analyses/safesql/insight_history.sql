with

insights as (

    select
        insight_id,
        ts,
        recorded_at,
        value,
        is_current,
        superseded_at,
        verified,
        verification_reason,
        basis,
        provenance_query_hash,
        provenance_template,
        provenance_column,
        session_id
    from {{ ref('insight_atoms') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and subject = {{ cdesk.bind('subject') }}
        and metric = {{ cdesk.bind('metric') }}
        and not is_forgotten

)

select * from insights
{{ cdesk.first_rows('recorded_at desc, insight_id desc') }}
