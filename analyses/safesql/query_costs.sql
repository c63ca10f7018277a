with

runs as (

    select * from {{ ref('provenance_chain') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and executed_at >= {{ cdesk.time_back('day', 'days_back') }}

),

costs as (

    select
        template,
        count(*) as run_count,
        sum(case when status = 'succeeded' then 1 else 0 end) as succeeded_count,
        sum(case when status != 'succeeded' then 1 else 0 end) as unsuccessful_count,
        sum(case when is_sampled then 1 else 0 end) as sampled_count,
        sum(elapsed_ms) / 1000 as total_seconds,
        {{ cdesk.percentile(0.5, 'elapsed_ms') }} as elapsed_p50_ms,
        {{ cdesk.percentile(0.95, 'elapsed_ms') }} as elapsed_p95_ms,
        sum(row_count) as result_rows,
        sum(byte_count) as result_bytes,
        max(executed_at) as last_run_at
    from runs
    group by template

)

select * from costs
order by total_seconds desc, template asc
