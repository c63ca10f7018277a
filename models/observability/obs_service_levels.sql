{#
    Every level of `slo_targets` by day, as it was and as it should be: of what this server did,
    whatever histories of other programs tell.
#}
with

tool_latency as (

    select *
    from {{ ref('obs_tool_latency') }}
    where is_own

),

log_calls as (

    select
        {{ cdesk.local_day('ts') }} as day,
        {{ cdesk.json_number('_feature_json', 'latency_ms') }} as latency_ms
    from {{ ref('events') }}
    where
        activity = 'cdesk.tool_called'
        and {{ cdesk.json_string('_feature_json', 'tool') }} in ('log_event', 'log_insight')
        and _source_system = 'claude_desktop'

),

reached as (

    select
        day,
        'first_token_path_p95_ms' as metric,
        latency_p95_ms as reached
    from {{ ref('obs_turn_latency') }}
    union all
    select
        day,
        'get_context_p95_ms' as metric,
        latency_p95_ms as reached
    from tool_latency
    where tool = 'get_context'
    union all
    select
        day,
        'submit_query_p95_ms' as metric,
        latency_p95_ms as reached
    from tool_latency
    where tool = 'submit_query'
    union all
    select
        cast(day as date) as day,
        'log_p95_ms' as metric,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as reached
    from log_calls
    group by day
    union all
    select
        day,
        'ingestion_lag_p95_s' as metric,
        lag_p95_seconds as reached
    from {{ ref('obs_ingestion_lag') }}
    union all
    select
        day,
        'card_ready_p95_s' as metric,
        ready_p95_seconds as reached
    from {{ ref('obs_card_ready') }}
    union all
    select
        day,
        'error_rate' as metric,
        sum(error_count) / cast(sum(call_count) as double) as reached
    from tool_latency
    group by day
    union all
    select
        day,
        'provenance_coverage' as metric,
        provenance_coverage as reached
    from {{ ref('obs_provenance_coverage') }}
    union all
    select
        day,
        'quarantine_rate' as metric,
        quarantine_rate as reached
    from {{ ref('obs_quarantine') }}

),

targets as (

    select * from {{ ref('slo_targets') }}

),

levels as (

    select
        reached.day,
        targets.metric,
        reached.reached,
        targets.comparison,
        targets.target,
        targets.unit,
        case
            when targets.comparison = 'at_most' then reached.reached <= targets.target
            else reached.reached >= targets.target
        end as is_met
    from reached
    inner join targets on reached.metric = targets.metric
    where reached.reached is not null

)

select * from levels
