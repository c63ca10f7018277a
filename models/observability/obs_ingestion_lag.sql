{#
    From an activity's birth to its landing. What was brought in from a history is as old as it is,
    and says nothing of the way: only what the server recorded itself counts.
#}
with

activities as (

    select
        {{ cdesk.local_day('ts') }} as day,
        {{ dbt.datediff('ts', '_landed_at', 'millisecond') }} / 1000.0 as lag_seconds
    from {{ ref('events') }}
    where _source_system = 'claude_desktop'

),

days as (

    select
        cast(day as date) as day,
        count(*) as activity_count,
        {{ cdesk.percentile(0.5, 'lag_seconds') }} as lag_p50_seconds,
        {{ cdesk.percentile(0.95, 'lag_seconds') }} as lag_p95_seconds,
        {{ cdesk.percentile(0.99, 'lag_seconds') }} as lag_p99_seconds
    from activities
    group by day

)

select * from days
