{#
    What this server adds to a turn before its first token: the calls that a turn makes on its way
    to an answer, added up. A turn is what a session does from one recorded question to the next;
    what comes before the first question belongs to it.
#}
with

events as (

    select
        _session_id as session_id,
        ts,
        activity,
        {{ cdesk.json_string('_feature_json', 'tool') }} as tool,
        {{ cdesk.json_number('_feature_json', 'latency_ms') }} as latency_ms,
        _activity_id as activity_id
    from {{ ref('events') }}
    where
        activity in ('cdesk.user_asked', 'cdesk.tool_called')
        and _session_id is not null
        and _source_system = 'claude_desktop'

),

numbered as (

    select
        *,
        sum(case when activity = 'cdesk.user_asked' then 1 else 0 end) over (
            partition by session_id
            order by ts, activity_id
            rows between unbounded preceding and current row
        ) as question
    from events

),

calls as (

    select
        session_id,
        case when question = 0 then 1 else question end as turn,
        ts,
        latency_ms
    from numbered
    where
        activity = 'cdesk.tool_called'
        and tool in ('get_context', 'log_event', 'log_insight')
        and latency_ms is not null

),

turns as (

    select
        session_id,
        turn,
        min({{ cdesk.local_day('ts') }}) as day,
        sum(latency_ms) as latency_ms
    from calls
    group by session_id, turn

),

days as (

    select
        cast(day as date) as day,
        count(*) as turn_count,
        {{ cdesk.percentile(0.5, 'latency_ms') }} as latency_p50_ms,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as latency_p95_ms,
        {{ cdesk.percentile(0.99, 'latency_ms') }} as latency_p99_ms
    from turns
    group by day

)

select * from days
