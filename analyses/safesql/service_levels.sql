with

levels as (

    select
        day,
        metric,
        reached,
        target,
        unit,
        comparison,
        is_met
    from {{ ref('obs_service_levels') }}
    where day >= cast({{ cdesk.time_back('day', 'days_back') }} as date)

)

select * from levels
order by day desc, metric asc
