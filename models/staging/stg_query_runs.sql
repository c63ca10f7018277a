with

records as (

    {{ cdesk.landed_records('query_run') }}

),

typed as (

    select
        id as query_run_id,
        {{ cdesk.record_field('query_run', 'customer') }} as customer,
        {{ cdesk.record_field('query_run', 'ts') }} as executed_at,
        {{ cdesk.record_field('query_run', 'ticket_id') }} as ticket_id,
        {{ cdesk.record_field('query_run', 'template') }} as template,
        {{ cdesk.record_field('query_run', 'sql') }} as sql_text,
        {{ cdesk.try_parse_json(cdesk.record_field('query_run', 'params')) }} as params,
        {{ cdesk.record_field('query_run', 'query_hash') }} as query_hash,
        {{ cdesk.record_field('query_run', 'query_tag') }} as query_tag,
        {{ cdesk.record_field('query_run', 'rows') }} as row_count,
        {{ cdesk.record_field('query_run', 'bytes') }} as byte_count,
        {{ cdesk.record_field('query_run', 'sampled') }} as is_sampled,
        {{ cdesk.record_field('query_run', 'status') }} as status,
        {{ cdesk.record_field('query_run', 'error_code') }} as error_code,
        {{ cdesk.record_field('query_run', 'elapsed_ms') }} as elapsed_ms,
        {{ cdesk.record_field('query_run', 'as_of') }} as as_of,
        {{ cdesk.record_field('query_run', 'artifact_id') }} as artifact_id,
        case
            when contains({{ cdesk.record_field('query_run', 'params') }}, '[secret:')
                then {{ cdesk.parse_json("'[]'") }}
            else {{ cdesk.record_field('query_run', 'evidence') }}
        end as evidence,
        {{ cdesk.record_field('query_run', 'evidence_complete') }} as has_complete_evidence,
        {{ cdesk.record_field('query_run', 'session_id') }} as session_id,
        landed_at as _landed_at,
        source_file as _source_file,
        source_offset as _source_offset
    from records

)

select * from typed
