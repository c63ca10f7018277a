with

runs as (

    select * from {{ ref('provenance_chain') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and query_hash = {{ cdesk.bind('query_hash') }}

),

artifacts as (

    select * from {{ ref('artifacts') }}
    where customer = {{ cdesk.bind('customer') }}

),

chain as (

    select
        runs.executed_at,
        runs.status,
        runs.error_code,
        runs.template,
        runs.sql_text,
        runs.params,
        runs.query_tag,
        runs.row_count,
        runs.byte_count,
        runs.is_sampled,
        runs.elapsed_ms,
        runs.as_of,
        runs.artifact_id,
        artifacts.uri as artifact_uri,
        artifacts.expires_at as artifact_expires_at,
        runs.ticket_id,
        runs.session_id,
        runs.query_run_id
    from runs
    left join artifacts on runs.artifact_id = artifacts.artifact_id

)

select * from chain
order by executed_at desc, query_run_id desc
