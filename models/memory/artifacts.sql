{# Exact because an artifact never changes: a build adds those at or after its own newest that it doesn't hold yet. #}
{{ config(incremental_strategy='append', unique_key='artifact_id') }}

with

artifacts as (

    select * from {{ ref('stg_artifacts') }}
    {% if is_incremental() %}
    where _landed_at >= {{ cdesk.since(this) }}
    {% endif %}

),

new_artifacts as (

    select
        artifact_id,
        customer,
        created_at,
        uri,
        format,
        row_count,
        byte_count,
        is_sampled,
        query_hash,
        expires_at,
        has_legal_hold,
        session_id,
        query_tag,
        _landed_at
    from artifacts
    {% if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as known
        where known._landed_at = artifacts._landed_at and known.artifact_id = artifacts.artifact_id
    )
    {% endif %}

)

select * from new_artifacts
