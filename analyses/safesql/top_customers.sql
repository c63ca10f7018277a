with

customers as (

    select
        customer,
        count(*) as activity_count,
        count(distinct _session_id) as session_count,
        sum(case when activity = 'cdesk.user_asked' then 1 else 0 end) as question_count,
        coalesce(sum(revenue_impact), 0) as revenue_impact,
        min(ts) as first_activity_at,
        max(ts) as last_activity_at
    from {{ ref('events_live') }}
    where ts >= {{ cdesk.time_back('day', 'days_back') }}
    group by customer

)

select * from customers
{{ cdesk.first_rows('activity_count desc, customer') }}
