with

hours as (

    select
        hour_at,
        query_count,
        query_seconds,
        byte_count,
        credits,
        usd
    from {{ ref('obs_hourly_costs') }}
    where hour_at >= {{ cdesk.time_back('hour', 'hours_back') }}

)

select * from hours
order by hour_at
