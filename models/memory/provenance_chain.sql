{# Exact because a query run never changes: a build adds those at or after its own newest that it doesn't hold yet. #}
{{ config(incremental_strategy='append', unique_key='query_run_id', cluster_by=['customer', 'executed_at']) }}

with

query_runs as (

    select * from {{ ref('stg_query_runs') }}
    {% if is_incremental() %}
    where _landed_at >= {{ cdesk.since(this) }}
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
        result_values,
        has_complete_result_values,
        session_id,
        _landed_at
    from query_runs
    {% if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as known
        where known._landed_at = query_runs._landed_at and known.query_run_id = query_runs.query_run_id
    )
    {% endif %}

)

select * from new_query_runs
