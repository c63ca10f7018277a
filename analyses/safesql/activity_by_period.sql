with

chosen as (

    select {{ cdesk.bind_as('period', 'varchar') }} as period

),

activities as (

    select
        {{ cdesk.truncate_to('events.ts', 'chosen.period') }} as period_start,
        events._session_id
    from {{ ref('events_live') }} as events
    cross join chosen
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity = {{ cdesk.bind('activity') }}
        and events.ts >= {{ cdesk.time_back('day', 'days_back') }}

),

periods as (

    select
        period_start,
        count(*) as activity_count,
        count(distinct _session_id) as session_count
    from activities
    group by period_start

)

select * from periods
order by period_start
