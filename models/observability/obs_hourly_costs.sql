{# What the cost guard reads: the account's meter beside our own queries, by hour. #}
with

metered as (

    {{ cdesk.metered_credits() }}

),

queries as (

    select
        {{ dbt.date_trunc('hour', 'ts') }} as hour_at,
        count(*) as query_count,
        sum(elapsed_ms) / 1000.0 as query_seconds,
        sum(byte_count) as byte_count
    from {{ ref('vw_sql_events') }}
    where activity = 'cdesk.sql_completed'
    group by {{ dbt.date_trunc('hour', 'ts') }}

),

hours as (

    select
        coalesce(queries.hour_at, metered.hour_at) as hour_at,
        coalesce(queries.query_count, 0) as query_count,
        coalesce(queries.query_seconds, 0) as query_seconds,
        coalesce(queries.byte_count, 0) as byte_count,
        metered.credits,
        metered.credits * {{ var('cdesk__usd_per_credit', 3.0) }} as usd
    from queries
    full outer join metered on queries.hour_at = metered.hour_at

)

select * from hours
