with

touched as (

    select
        coalesce({{ cdesk.json_string('events._feature_json', 'project') }}, 'unknown') as project,
        coalesce({{ cdesk.json_string('events._feature_json', 'file') }}, 'unknown') as file,
        {{ cdesk.json_string('events._feature_json', 'kind') }} as kind,
        {{ cdesk.json_integer('events._feature_json', 'lines_added') }} as lines_added,
        {{ cdesk.json_integer('events._feature_json', 'lines_removed') }} as lines_removed,
        events.activity,
        events.ts
    from {{ ref('events_live') }} as events
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity in ('cdesk.file_read', 'cdesk.file_written')
        and events.ts >= {{ cdesk.time_back('day', 'days_back') }}

),

files as (

    select
        project,
        file,
        max(kind) as kind,
        sum(case when activity = 'cdesk.file_read' then 1 else 0 end) as times_read,
        sum(case when activity = 'cdesk.file_written' then 1 else 0 end) as times_written,
        coalesce(sum(lines_added), 0) as lines_added,
        coalesce(sum(lines_removed), 0) as lines_removed,
        max(ts) as last_touched_at
    from touched
    group by project, file

)

select * from files
{{ cdesk.first_rows('times_written desc, times_read desc, project, file') }}
