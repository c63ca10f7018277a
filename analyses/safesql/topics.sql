with

titles as (

    select
        _session_id as session_id,
        max({{ cdesk.json_string('_feature_json', 'title') }}) as title
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and activity = 'cdesk.session_started'
        and ts >= {{ cdesk.time_back('day', 'days_back') }}
    group by _session_id

),

asked as (

    select
        events.ts,
        events._session_id as session_id,
        coalesce(
            nullif(lower(trim({{ cdesk.json_string('events._feature_json', 'topic') }})), ''),
            titles.title
        ) as topic
    from {{ ref('events_live') }} as events
    left join titles on events._session_id = titles.session_id
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity = 'cdesk.user_asked'
        and events.ts >= {{ cdesk.time_back('day', 'days_back') }}

),

topics as (

    select
        topic,
        count(*) as questions,
        count(distinct session_id) as conversations,
        min(ts) as first_asked_at,
        max(ts) as last_asked_at
    from asked
    where topic is not null
    group by topic

)

select * from topics
{{ cdesk.first_rows('questions desc, last_asked_at desc, topic') }}
