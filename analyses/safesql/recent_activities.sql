with

activities as (

    select
        _activity_id as activity_id,
        ts,
        {{ cdesk.recorded_at() }} as recorded_at,
        activity,
        activity_occurrence,
        link,
        revenue_impact,
        _feature_json as feature_json
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and ts >= {{ cdesk.time_back('hour', 'hours_back') }}
        and {{ cdesk.recorded_at() }} >= {{ cdesk.time_back('hour', 'hours_back') }}

)

select * from activities
{{ cdesk.first_rows('recorded_at desc, activity_id desc') }}
