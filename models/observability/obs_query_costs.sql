with

queries as (

    select
        {{ cdesk.local_day('ts') }} as day,
        customer,
        coalesce(template, 'unknown') as template,
        status,
        byte_count,
        elapsed_ms,
        warehouse_seconds,
        bytes_scanned,
        credits
    from {{ ref('vw_sql_events') }}
    where activity = 'cdesk.sql_completed'

),

costs as (

    select
        cast(day as date) as day,
        customer,
        template,
        count(*) as query_count,
        sum(case when status = 'succeeded' then 0 else 1 end) as failed_count,
        sum(elapsed_ms) / 1000.0 as elapsed_seconds,
        sum(byte_count) as byte_count,
        sum(warehouse_seconds) as warehouse_seconds,
        sum(bytes_scanned) as bytes_scanned,
        sum(credits) as credits,
        sum(credits) * {{ var('cdesk__usd_per_credit', 3.0) }} as usd
    from queries
    group by day, customer, template

)

select * from costs
