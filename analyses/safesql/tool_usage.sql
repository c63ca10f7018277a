with

calls as (

    select
        {{ cdesk.recorded_at() }} as recorded_at,
        activity,
        _source_system,
        coalesce({{ cdesk.json_string('_feature_json', 'tool') }}, 'unknown') as tool,
        {{ cdesk.json_string('_feature_json', 'outcome') }} as outcome,
        {{ cdesk.json_number('_feature_json', 'latency_ms') }} as latency_ms
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and activity = 'cdesk.tool_called'
        and ts >= {{ cdesk.time_back('day', 'days_back') }}

),

tools as (

    select
        tool,
        count(*) as call_count,
        sum(case when outcome = 'error' then 1 else 0 end) as error_count,
        {{ cdesk.percentile(0.5, 'latency_ms') }} as latency_p50_ms,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as latency_p95_ms,
        {{ cdesk.percentile(0.99, 'latency_ms') }} as latency_p99_ms,
        max(recorded_at) as last_called_at,
        {{ cdesk.basis_of_rows() }} as basis
    from calls
    group by tool

)

select * from tools
order by call_count desc, tool asc
