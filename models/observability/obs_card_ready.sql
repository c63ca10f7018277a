with

cards as (

    select
        {{ cdesk.local_day('ts') }} as day,
        {{ cdesk.json_number('_feature_json', 'elapsed_ms') }} / 1000.0 as ready_seconds
    from {{ ref('events') }}
    where activity = 'cdesk.card_ready'

),

days as (

    select
        cast(day as date) as day,
        count(*) as card_count,
        {{ cdesk.percentile(0.5, 'ready_seconds') }} as ready_p50_seconds,
        {{ cdesk.percentile(0.95, 'ready_seconds') }} as ready_p95_seconds,
        {{ cdesk.percentile(0.99, 'ready_seconds') }} as ready_p99_seconds
    from cards
    group by day

)

select * from days
