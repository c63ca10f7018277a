with

events as (

    select * from {{ ref('events') }}

),

tool_events as (

    select
        {{ cdesk.event_head() }},
        {{ cdesk.json_string('_feature_json', 'tool') }} as tool,
        {{ cdesk.json_number('_feature_json', 'latency_ms') }} as latency_ms,
        {{ cdesk.json_string('_feature_json', 'outcome') }} as outcome,
        {{ cdesk.json_string('_feature_json', 'where') }} as failed_in,
        {{ cdesk.json_string('_feature_json', 'error_code') }} as error_code,
        {{ cdesk.json_string('_feature_json', 'message') }} as message,
        _query_tag as query_tag
    from events
    where
        activity in (
            'cdesk.tool_called',
            'cdesk.error_encountered',
            'cdesk.retry_attempted',
            'cdesk.fallback_triggered'
        )

)

{{ cdesk.mask_text_columns(
    'tool_events',
    ['session_id', 'tool', 'outcome', 'failed_in', 'error_code', 'message'],
) }}
