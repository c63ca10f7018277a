with

insights as (

    select
        insight_id,
        ts,
        subject,
        metric,
        value,
        verified,
        verification_reason,
        provenance_query_hash,
        provenance_template
    from {{ ref('insight_atoms') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and subject = {{ cdesk.bind('subject') }}
        and metric = {{ cdesk.bind('metric') }}
        and is_current

)

select * from insights
order by insight_id
