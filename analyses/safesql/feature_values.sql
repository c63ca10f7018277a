with

chosen as (

    select {{ cdesk.bind_as('key', 'varchar') }} as feature_key

),

features as (

    select
        {{ cdesk.recorded_at('events') }} as recorded_at,
        {{ cdesk.json_at('events._feature_json', 'chosen.feature_key') }} as feature
    from {{ ref('events_live') }} as events
    cross join chosen
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity = {{ cdesk.bind('activity') }}
        and events.ts >= {{ cdesk.time_back('day', 'days_back') }}

),

feature_values as (

    select
        {{ cdesk.json_text('feature') }} as feature_value,
        count(*) as activity_count,
        min(recorded_at) as first_at,
        max(recorded_at) as last_at
    from features
    where feature is not null
    group by {{ cdesk.json_text('feature') }}

)

select * from feature_values
{{ cdesk.first_rows('activity_count desc, feature_value') }}
