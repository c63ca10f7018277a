with

customers as (

    select
        customer,
        count(*) as activity_count,
        count(distinct _session_id) as session_count,
        sum(case when activity = 'cdesk.user_asked' then 1 else 0 end) as question_count,
        coalesce(sum(revenue_impact), 0) as revenue_impact,
        min({{ cdesk.recorded_at() }}) as first_activity_at,
        max({{ cdesk.recorded_at() }}) as last_activity_at,
        {{ cdesk.basis_of_rows() }} as basis
    from {{ ref('events_live') }}
    where ts >= {{ cdesk.time_back('day', 'days_back') }}
    group by customer

)

select * from customers
{{ cdesk.first_rows('activity_count desc, customer') }}
