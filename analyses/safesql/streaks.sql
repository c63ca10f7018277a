with

active as (

    select distinct cast({{ cdesk.to_local('events.ts') }} as date) as local_day
    from {{ ref('events_live') }} as events
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity in ('cdesk.user_asked', 'cdesk.claude_responded')
        and events.ts >= {{ cdesk.time_back('day', 'days_back') }}

),

numbered as (

    select
        local_day,
        {{ dbt.datediff("cast('1900-01-01' as date)", 'local_day', 'day') }}
        - row_number() over (order by local_day) as run
    from active

),

streaks as (

    select
        min(local_day) as first_day,
        max(local_day) as last_day,
        count(*) as days,
        max(local_day) >= cast(
            {{ dbt.dateadd('day', -1, cdesk.to_local(cdesk.utc_now())) }} as date
        ) as is_current
    from numbered
    group by run

)

select * from streaks
{{ cdesk.first_rows('days desc, last_day desc') }}
