with

errors as (

    select
        {{ cdesk.local_day('ts') }} as day,
        coalesce(failed_in, tool, 'unknown') as component,
        coalesce(error_code, 'unknown') as error_code
    from {{ ref('vw_tool_events') }}
    where activity = 'cdesk.error_encountered'

),

days as (

    select
        cast(day as date) as day,
        component,
        error_code,
        count(*) as error_count
    from errors
    group by day, component, error_code

)

select * from days
