with

calls as (

    select
        tool,
        latency_ms,
        outcome,
        {{ cdesk.local_day('ts') }} as day
    from {{ ref('vw_tool_events') }}
    where activity = 'cdesk.tool_called' and tool is not null

),

days as (

    select
        cast(day as date) as day,
        tool,
        count(*) as call_count,
        sum(case when outcome = 'error' then 1 else 0 end) as error_count,
        {{ cdesk.percentile(0.5, 'latency_ms') }} as latency_p50_ms,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as latency_p95_ms,
        {{ cdesk.percentile(0.99, 'latency_ms') }} as latency_p99_ms
    from calls
    group by day, tool

)

select * from days
