with

calls as (

    select
        {{ cdesk.period_start('ts', cdesk.bind_as('period', 'varchar')) }} as period_start,
        coalesce({{ cdesk.json_string('_feature_json', 'model') }}, 'unknown') as model,
        {{ cdesk.json_integer('_feature_json', 'input_tokens') }} as input_tokens,
        {{ cdesk.json_integer('_feature_json', 'output_tokens') }} as output_tokens,
        {{ cdesk.json_number('_feature_json', 'latency_ms') }} as latency_ms,
        activity,
        _source_system
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and activity in ('cdesk.claude_responded', 'cdesk.llm_called')
        and ts >= {{ cdesk.time_back('day', 'days_back') }}

),

usage_by_period as (

    select
        period_start,
        model,
        count(*) as call_count,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        {{ cdesk.percentile(0.5, 'latency_ms') }} as latency_p50_ms,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as latency_p95_ms,
        {{ cdesk.percentile(0.99, 'latency_ms') }} as latency_p99_ms,
        {{ cdesk.basis_of_rows() }} as basis
    from calls
    group by period_start, model

)

select * from usage_by_period
order by period_start desc, model asc
