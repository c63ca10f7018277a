{#
    A history of another program tells of calls of this server, too: what the server recorded itself
    is enough, and counts once.
#}
with

calls as (

    select
        {{ cdesk.json_string('_feature_json', 'tool') }} as tool,
        {{ cdesk.json_number('_feature_json', 'latency_ms') }} as latency_ms,
        {{ cdesk.json_string('_feature_json', 'outcome') }} as outcome,
        (_source_system = 'claude_desktop') as is_recorded_here,
        {{ cdesk.local_day('ts') }} as day
    from {{ ref('events') }}
    where activity = 'cdesk.tool_called'

),

own_tools as (

    select distinct tool
    from calls
    where is_recorded_here

),

calls_once as (

    select
        calls.tool,
        calls.latency_ms,
        calls.outcome,
        calls.day,
        (own_tools.tool is not null) as is_own
    from calls
    left join own_tools on calls.tool = own_tools.tool
    where
        calls.tool is not null
        and (calls.is_recorded_here or own_tools.tool is null)

),

days as (

    select
        cast(day as date) as day,
        tool,
        is_own,
        count(*) as call_count,
        sum(case when outcome = 'error' then 1 else 0 end) as error_count,
        {{ cdesk.percentile(0.5, 'latency_ms') }} as latency_p50_ms,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as latency_p95_ms,
        {{ cdesk.percentile(0.99, 'latency_ms') }} as latency_p99_ms
    from calls_once
    group by day, tool, is_own

)

select * from days
