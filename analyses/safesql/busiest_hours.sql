with

activities as (

    select
        events.activity,
        {{ cdesk.to_local('events.ts') }} as local_ts
    from {{ ref('events_live') }} as events
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity in ('cdesk.user_asked', 'cdesk.claude_responded')
        and events.ts >= {{ cdesk.time_back('day', 'days_back') }}

),

by_hour as (

    select
        {{ cdesk.iso_weekday('local_ts') }} as weekday,
        cast(extract(hour from local_ts) as integer) as hour_of_day,
        sum(case when activity = 'cdesk.user_asked' then 1 else 0 end) as questions,
        sum(case when activity = 'cdesk.claude_responded' then 1 else 0 end) as responses,
        count(distinct cast(local_ts as date)) as active_days
    from activities
    group by {{ cdesk.iso_weekday('local_ts') }}, cast(extract(hour from local_ts) as integer)

)

select * from by_hour
order by weekday, hour_of_day
