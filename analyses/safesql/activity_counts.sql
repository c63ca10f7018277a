with

activities as (

    select
        activity,
        count(*) as activity_count,
        min({{ cdesk.recorded_at() }}) as first_at,
        max({{ cdesk.recorded_at() }}) as last_at,
        {{ cdesk.basis_of_rows() }} as basis
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and ts >= {{ cdesk.time_back('day', 'days_back') }}
    group by activity

)

select * from activities
{{ cdesk.first_rows('activity_count desc, activity') }}
