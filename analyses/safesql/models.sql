with

responses as (

    {{ cdesk.priced_responses(cdesk.within_days_back('events.ts')) | indent }}

),

models as (

    select
        model,
        {{ cdesk.usage_sums() }},
        {{ cdesk.percentile(0.5, 'latency_ms') }} as latency_p50_ms,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as latency_p95_ms,
        min(ts) as first_at,
        max(ts) as last_at
    from responses
    group by model

)

select * from models
order by total_tokens desc, model asc
