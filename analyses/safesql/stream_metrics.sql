with

events as (

    select
        {{ dbt.date_trunc('hour', 'ts') }} as hour_start,
        customer,
        activity,
        _session_id,
        _source_system,
        {{ dbt.datediff('ts', '_landed_at', 'millisecond') }} / 1000.0 as lag_seconds,
        case
            when activity = 'cdesk.tool_called'
                then {{ cdesk.json_number('_feature_json', 'latency_ms') }}
        end as latency_ms
    from {{ ref('events_live') }}
    where ts >= {{ cdesk.time_back('hour', 'hours_back') }}

),

hours as (

    select
        hour_start,
        count(*) as activity_count,
        count(distinct customer) as customer_count,
        count(distinct _session_id) as session_count,
        sum(case when activity = 'cdesk.user_asked' then 1 else 0 end) as question_count,
        sum(case when activity = 'cdesk.tool_called' then 1 else 0 end) as tool_call_count,
        sum(case when activity = 'cdesk.error_encountered' then 1 else 0 end) as error_count,
        {{ cdesk.percentile(0.5, 'latency_ms') }} as latency_p50_ms,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as latency_p95_ms,
        {{ cdesk.percentile(0.5, 'lag_seconds') }} as ingestion_lag_p50_seconds,
        {{ cdesk.percentile(0.95, 'lag_seconds') }} as ingestion_lag_p95_seconds,
        {{ cdesk.basis_of_rows() }} as basis
    from events
    group by hour_start

)

select * from hours
order by hour_start desc
