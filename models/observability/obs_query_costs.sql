with

queries as (

    select
        {{ cdesk.local_day('ts') }} as day,
        status,
        byte_count,
        elapsed_ms,
        warehouse_seconds,
        bytes_scanned,
        credits
    from {{ ref('vw_sql_events') }}
    where activity = 'cdesk.sql_completed'

),

days as (

    select
        cast(day as date) as day,
        count(*) as query_count,
        sum(case when status = 'succeeded' then 0 else 1 end) as failed_count,
        sum(elapsed_ms) / 1000.0 as elapsed_seconds,
        sum(byte_count) as byte_count,
        sum(warehouse_seconds) as warehouse_seconds,
        sum(bytes_scanned) as bytes_scanned,
        sum(credits) as credits
    from queries
    group by day

)

select * from days
