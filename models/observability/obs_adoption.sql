with

activities as (

    select
        {{ cdesk.local_day('ts') }} as day,
        customer,
        activity,
        _session_id
    from {{ ref('events') }}

),

days as (

    select
        cast(day as date) as day,
        count(*) as activity_count,
        count(distinct customer) as customer_count,
        count(distinct _session_id) as session_count,
        sum(case when activity = 'cdesk.user_asked' then 1 else 0 end) as question_count,
        sum(case when activity = 'cdesk.tool_called' then 1 else 0 end) as tool_call_count,
        sum(case when activity = 'cdesk.insight_recorded' then 1 else 0 end) as insight_count
    from activities
    group by day

)

select * from days
