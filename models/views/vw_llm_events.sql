with

events as (

    select * from {{ ref('events') }}

),

llm_events as (

    select
        {{ cdesk.event_head() }},
        {{ cdesk.json_string('_feature_json', 'model') }} as model,
        {{ cdesk.json_integer('_feature_json', 'length') }} as text_length,
        {{ cdesk.json_integer('_feature_json', 'input_tokens') }} as input_tokens,
        {{ cdesk.json_integer('_feature_json', 'output_tokens') }} as output_tokens,
        {{ cdesk.json_number('_feature_json', 'latency_ms') }} as latency_ms,
        {{ cdesk.json_string('_feature_json', 'question') }} as question,
        _query_tag as query_tag
    from events
    where activity in ('cdesk.user_asked', 'cdesk.claude_responded', 'cdesk.llm_called')

)

{{ cdesk.mask_text_columns('llm_events', ['session_id', 'model', 'question']) }}
