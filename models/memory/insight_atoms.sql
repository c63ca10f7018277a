{#
    Exact at any order of arrival. A build writes three sorts of atoms: those landed since the newest of this table; unverified ones whose query has been
    run again, or has landed only now; and stored ones that either supersede or are superseded by them, which are the tail of
    their (customer, subject, metric) from the first change on. What an atom says is worked out for all three alike.

    A verified atom is superseded by a later verified one alone, an unverified one by whatever comes later. So the current verified atom and the
    latest of all never have a `superseded_at`, and every build has them at hand to say which of them is current.
#}
{{ config(incremental_strategy='merge', unique_key='insight_id', cluster_by=['customer', 'ts']) }}

{%- set since = cdesk.since(this) if is_incremental() %}

with

staged as (

    select * from {{ ref('stg_insights') }}
    {% if is_incremental() %}
    where _landed_at >= {{ since }}
    {% endif %}

),

provenance_chain as (

    select * from {{ ref('provenance_chain') }}

),

new_insights as (

    select
        insight_id,
        customer,
        ts,
        subject,
        metric,
        value,
        provenance_query_hash,
        session_id,
        query_tag,
        _landed_at
    from staged
    {% if is_incremental() %}
    where {{ cdesk.not_held(this, 'staged', 'insight_id', since) }}
    {% endif %}

),

{% if is_incremental() %}
run_again as (

    select distinct
        known.insight_id,
        known.customer,
        known.subject,
        known.metric,
        known.ts
    from {{ this }} as known
    inner join provenance_chain
        on
            known.customer = provenance_chain.customer
            and known.provenance_query_hash = provenance_chain.query_hash
    where
        (
            not known.verified
            and (known._provenance_landed_at is null or known._provenance_landed_at < provenance_chain._landed_at)
        )
        -- verified by a template that is no evidence any more
        or known.provenance_template in {{ cdesk.templates_without_evidence() }}

),

changes as (

    select
        customer,
        subject,
        metric,
        min(ts) as first_ts
    from (
        select
            customer,
            subject,
            metric,
            ts
        from new_insights
        union all
        select
            customer,
            subject,
            metric,
            ts
        from run_again
    ) as changed
    group by customer, subject, metric

),

stored_insights as (

    select
        known.insight_id,
        known.customer,
        known.ts,
        known.subject,
        known.metric,
        known.value,
        known.provenance_query_hash,
        known.session_id,
        known.query_tag,
        known._landed_at
    from {{ this }} as known
    inner join changes
        on
            known.customer = changes.customer
            and known.subject = changes.subject
            and known.metric = changes.metric
    where known.superseded_at is null or known.superseded_at >= changes.first_ts

),
{% endif %}

insights as (

    select * from new_insights
    {% if is_incremental() %}
    union all
    select * from stored_insights
    {% endif %}

),

typed as (

    select
        *,
        case
            when {{ cdesk.json_is('value', 'number') }} then 'number'
            when {{ cdesk.json_is('value', 'string') }} then 'string'
            when {{ cdesk.json_is('value', 'boolean') }} then 'boolean'
            else 'null'
        end as value_type,
        {{ cdesk.json_text('value') }} as value_text
    from insights

),

claims as (

    select
        *,
        case when value_type = 'number' then {{ cdesk.try_double('value_text') }} end as value_number
    from typed

),

claimed_runs as (

    select provenance_chain.*
    from provenance_chain
    where exists (
        select 1
        from claims
        where
            claims.customer = provenance_chain.customer
            and claims.provenance_query_hash = provenance_chain.query_hash
    )

),

runs_by_hash as (

    select
        customer,
        query_hash,
        max(_landed_at) as _landed_at,
        max(case when status = 'succeeded' then 1 else 0 end) = 1 as has_succeeded,
        max(case when status = 'succeeded' and template not in {{ cdesk.templates_without_evidence() }} then 1 else 0 end) = 1 as has_evidence,
        min(case when status = 'succeeded' and not has_complete_result_values then 0 else 1 end) = 1 as is_complete
    from claimed_runs
    group by customer, query_hash

),

succeeded_runs as (

    select * from claimed_runs
    where status = 'succeeded' and template not in {{ cdesk.templates_without_evidence() }}

),

result_values as (

    select
        customer,
        query_hash,
        query_run_id,
        template,
        _landed_at,
        element
    {{ cdesk.json_elements('succeeded_runs', 'result_values') }}

),

typed_values as (

    select
        *,
        case
            when {{ cdesk.json_is('element', 'number') }} then 'number'
            when {{ cdesk.json_is('element', 'string') }} then 'string'
            when {{ cdesk.json_is('element', 'boolean') }} then 'boolean'
        end as element_type,
        {{ cdesk.json_text('element') }} as element_text
    from result_values

),

-- the first run that holds the value: numbers within 1e-9 of the larger one or 1e-12, text and booleans to the letter
proofs as (

    select
        claims.insight_id,
        typed_values.template,
        typed_values._landed_at
    from claims
    inner join typed_values
        on
            claims.customer = typed_values.customer
            and claims.provenance_query_hash = typed_values.query_hash
            and claims.value_type = typed_values.element_type
    where
        claims.value_text = typed_values.element_text
        or (
            claims.value_type = 'number'
            and abs(claims.value_number - {{ cdesk.try_double('typed_values.element_text') }})
            <= greatest(
                1e-12,
                1e-9 * greatest(abs(claims.value_number), abs({{ cdesk.try_double('typed_values.element_text') }}))
            )
        )
    qualify
        row_number() over (
            partition by claims.insight_id
            order by typed_values._landed_at, typed_values.query_run_id
        ) = 1

),

judged as (

    select
        claims.insight_id,
        claims.customer,
        claims.ts,
        claims.subject,
        claims.metric,
        claims.value,
        claims.value_type,
        claims.value_number,
        claims.value_text,
        claims.provenance_query_hash,
        proofs.insight_id is not null as verified,
        case
            when claims.provenance_query_hash is null then 'no_provenance'
            when runs_by_hash.query_hash is null then 'unknown_query'
            when not runs_by_hash.has_succeeded then 'query_not_succeeded'
            when not runs_by_hash.has_evidence then 'not_evidence'
            when proofs.insight_id is not null then 'verified'
            when claims.value_type = 'null' then 'no_value'
            when not runs_by_hash.is_complete then 'result_values_incomplete'
            else 'value_not_in_result'
        end as verification_reason,
        proofs.template as provenance_template,
        claims.session_id,
        claims.query_tag,
        coalesce(proofs._landed_at, runs_by_hash._landed_at) as _provenance_landed_at,
        claims._landed_at
    from claims
    left join runs_by_hash
        on
            claims.customer = runs_by_hash.customer
            and claims.provenance_query_hash = runs_by_hash.query_hash
    left join proofs on claims.insight_id = proofs.insight_id

),

followed as (

    select
        *,
        lead(ts) over (partition by customer, subject, metric order by ts, insight_id) as next_ts,
        lead(ts) over (partition by customer, subject, metric, verified order by ts, insight_id) as next_alike_ts,
        max(case when verified then 1 else 0 end) over (partition by customer, subject, metric) = 1 as is_known
    from judged

),

final as (

    select
        insight_id,
        customer,
        ts,
        subject,
        metric,
        value,
        value_type,
        value_number,
        value_text,
        provenance_query_hash,
        verified,
        verification_reason,
        provenance_template,
        case when verified then next_alike_ts else next_ts end as superseded_at,
        session_id,
        query_tag,
        _provenance_landed_at,
        _landed_at,
        case when verified then next_alike_ts is null else next_ts is null and not is_known end as is_current
    from followed

)

select * from final
