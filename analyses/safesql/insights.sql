with

insights as (

    select
        insight_id,
        ts,
        recorded_at,
        subject,
        metric,
        value,
        verified,
        verification_reason,
        basis,
        provenance_query_hash,
        provenance_template,
        provenance_column
    from {{ ref('insight_atoms') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and is_current
        and {{ cdesk.equals_if_given('subject', 'subject') }}
        and {{ cdesk.equals_if_given('metric', 'metric') }}

)

select * from insights
{{ cdesk.first_rows('verified desc, recorded_at desc, insight_id desc') }}
