with

events as (

    select * from {{ ref('events') }}

),

query_costs as (

    {{ cdesk.query_costs() }}

),

sql_events as (

    select
        {{ cdesk.event_head() }},
        {{ cdesk.json_string('_feature_json', 'ticket_id') }} as ticket_id,
        {{ cdesk.json_string('_feature_json', 'template') }} as template,
        {{ cdesk.json_string('_feature_json', 'query_hash') }} as query_hash,
        {{ cdesk.json_string('_feature_json', 'status') }} as status,
        {{ cdesk.json_string('_feature_json', 'error_code') }} as error_code,
        {{ cdesk.json_integer('_feature_json', 'rows') }} as row_count,
        {{ cdesk.json_integer('_feature_json', 'bytes') }} as byte_count,
        {{ cdesk.json_number('_feature_json', 'elapsed_ms') }} as elapsed_ms,
        _query_tag as query_tag
    from events
    where activity in ('cdesk.sql_executed', 'cdesk.sql_completed')

),

costed as (

    select
        sql_events.*,
        query_costs.warehouse_seconds,
        query_costs.bytes_scanned,
        query_costs.credits
    from sql_events
    left join query_costs
        on
            sql_events.query_tag = query_costs.query_tag
            and sql_events.activity = 'cdesk.sql_completed'

)

{{ cdesk.mask_text_columns(
    'costed',
    ['session_id', 'ticket_id', 'template', 'query_hash', 'status', 'error_code'],
) }}
