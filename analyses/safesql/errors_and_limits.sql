with

errors as (

    select
        coalesce({{ cdesk.json_string('events._feature_json', 'error_code') }}, 'unknown')
            as error_code,
        events._session_id as session_id,
        cast({{ cdesk.to_local('events.ts') }} as date) as local_day,
        events.ts
    from (
        {{ cdesk.usage_events('error_encountered', cdesk.within_days_back('events.ts')) }}
    ) as events

),

errors_and_limits as (

    select
        error_code,
        count(*) as errors,
        count(distinct session_id) as conversations,
        count(distinct local_day) as days,
        min(ts) as first_at,
        max(ts) as last_at
    from errors
    group by error_code

)

select * from errors_and_limits
order by errors desc, error_code asc
