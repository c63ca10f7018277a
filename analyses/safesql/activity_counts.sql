with

activities as (

    select
        activity,
        count(*) as activity_count,
        min(ts) as first_at,
        max(ts) as last_at
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and ts >= {{ cdesk.time_back('day', 'days_back') }}
    group by activity

)

select * from activities
{{ cdesk.first_rows('activity_count desc, activity') }}
