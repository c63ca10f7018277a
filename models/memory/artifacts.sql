{#
    Exact because an artifact never changes: a build adds those at or after its own newest that it
    doesn't hold yet.
#}
{{ config(incremental_strategy='append', unique_key='artifact_id') }}

{%- set since = cdesk.since(this) if is_incremental() %}

with

artifacts as (

    select * from {{ ref('stg_artifacts') }}
    {% if is_incremental() %}
    where _landed_at >= {{ since }}
    {% endif %}

),

new_artifacts as (

    select
        artifact_id,
        customer,
        {{ cdesk.artifact_columns() }},
        _landed_at
    from artifacts
    {% if is_incremental() %}
    where {{ cdesk.not_held(this, 'artifacts', 'artifact_id', since) }}
    {% endif %}

)

select * from new_artifacts
