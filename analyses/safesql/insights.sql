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
        and is_current
        and {{ cdesk.equals_if_given('subject', 'subject') }}
        and {{ cdesk.equals_if_given('metric', 'metric') }}

)

select * from insights
{{ cdesk.first_rows('verified desc, ts desc, insight_id desc') }}
