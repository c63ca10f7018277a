{#
    Exact because a query run never changes: a build adds those at or after its own newest that it
    doesn't hold yet.
#}
{{
    config(
        incremental_strategy='append',
        unique_key='query_run_id',
        cluster_by=['customer', 'executed_at'],
    )
}}

{%- set since = cdesk.since(this) if is_incremental() %}

with

query_runs as (

    select * from {{ ref('stg_query_runs') }}
    {% if is_incremental() %}
    where _landed_at >= {{ since }}
    {% endif %}

),

new_query_runs as (

    select
        query_run_id,
        query_hash,
        customer,
        executed_at,
        ticket_id,
        template,
        sql_text,
        params,
        query_tag,
        status,
        error_code,
        row_count,
        byte_count,
        is_sampled,
        elapsed_ms,
        as_of,
        artifact_id,
        evidence,
        has_complete_evidence,
        session_id,
        _landed_at
    from query_runs
    {% if is_incremental() %}
    where {{ cdesk.not_held(this, 'query_runs', 'query_run_id', since) }}
    {% endif %}

)

select * from new_query_runs
