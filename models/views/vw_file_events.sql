with

events as (

    select * from {{ ref('events') }}

),

file_events as (

    select
        {{ cdesk.event_head() }},
        {{ cdesk.json_string('_feature_json', 'path') }} as path,
        {{ cdesk.json_string('_feature_json', 'kind') }} as kind,
        {{ cdesk.json_integer('_feature_json', 'bytes') }} as byte_count,
        _query_tag as query_tag
    from events
    where activity in ('cdesk.file_read', 'cdesk.file_written')

)

{{ cdesk.mask_text_columns('file_events', ['session_id', 'path', 'kind']) }}
