{#
    Exact at any order of arrival. A build writes three sorts of atoms: those landed since the
    newest of this table; those whose standing may have changed (unverified ones whose query has
    been run again or has landed only now, or whose template wasn't known to have the SQL that
    ran, and all that were judged by other evidence columns than the templates declare now);
    and stored ones that either supersede or are superseded by them,
    which are the tail of their (customer, subject, metric) from the first change on. What an atom
    says is worked out for all three alike.

    A verified atom is superseded by a later verified one alone, an unverified one by whatever comes
    later. So the current verified atom and the latest of all never have a `superseded_at`, and
    every build has them at hand to say which of them is current. "Later" goes by `recorded_at`.

    An atom that was forgotten takes those along that it superseded, so that no older value comes
    back in its place: all before a verified one, the unverified ones before an unverified one. The
    rows stay, so that a late one finds that it was forgotten, too; nothing shows them. A subject
    and metric with a forgotten atom is worked out whole.
#}
{{ config(incremental_strategy='merge', unique_key='insight_id', cluster_by=['customer', 'ts']) }}

{%- set since = cdesk.since(this) if is_incremental() %}
{%- set beginning = "cast('0001-01-01' as " ~ dbt.type_timestamp() ~ ")" %}
{%- set judged_by = local_md5(cdesk.evidence_columns() | string) %}

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

template_versions as (

    select distinct
        template,
        sql_hash
    from {{ source('cdesk', 'template_versions') }}

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
judged_again as (

    select
        known.customer,
        known.subject,
        known.metric,
        case when known.is_forgotten then {{ beginning }} else known.recorded_at end as recorded_at
    from {{ this }} as known
    inner join provenance_chain
        on
            known.customer = provenance_chain.customer
            and known.provenance_query_hash = provenance_chain.query_hash
    where
        not known.verified
        and (
            known._provenance_landed_at is null
            or known._provenance_landed_at < provenance_chain._landed_at
        )
    union all
    select
        customer,
        subject,
        metric,
        case when is_forgotten then {{ beginning }} else recorded_at end as recorded_at
    from {{ this }}
    where _judged_by != '{{ judged_by }}' or verification_reason = 'unknown_template_sql'

),

forgotten_since as (

    {{ cdesk.forgotten_insights('events._landed_at >= ' ~ since) | indent }}

),

newly_forgotten as (

    select
        known.customer,
        known.subject,
        known.metric,
        {{ beginning }} as recorded_at
    from {{ this }} as known
    inner join forgotten_since
        on
            known.customer = forgotten_since.customer
            and known.insight_id = forgotten_since.insight_id
    where not known.is_forgotten

),

changes as (

    select
        customer,
        subject,
        metric,
        min(recorded_at) as first_recorded_at
    from (
        select
            customer,
            subject,
            metric,
            {{ cdesk.recorded_at() }} as recorded_at
        from new_insights
        union all
        select * from judged_again
        union all
        select * from newly_forgotten
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
    where known.superseded_at is null or known.superseded_at >= changes.first_recorded_at

),
{% endif %}

insights as (

    select * from new_insights
    {% if is_incremental() %}
    union all
    select * from stored_insights
    {% endif %}

),

claims as (

    {{ cdesk.insight_claims('insights') | indent }}

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

compared_runs as (

    select
        claimed_runs.*,
        template_versions.template is not null as is_template_sql
    from claimed_runs
    left join template_versions
        on
            claimed_runs.template = template_versions.template
            and {{ cdesk.template_sql_hash('claimed_runs.sql_text') }} = template_versions.sql_hash

),

runs as (

    {{ cdesk.insight_runs('compared_runs') | indent }}

),

evidence as (

    {{ cdesk.insight_evidence('compared_runs') | indent }}

),

proofs as (

    {{ cdesk.insight_proofs('claims', 'evidence') | indent }}

),

judged as (

    {{ cdesk.insight_verdicts('claims', 'runs', 'proofs') | indent }}

),

forgotten as (

    {{ cdesk.forgotten_insights('events.customer in (select customer from insights)') | indent }}

),

marked as (

    select
        judged.*,
        forgotten.insight_id is not null as is_named
    from judged
    left join forgotten
        on judged.customer = forgotten.customer and judged.insight_id = forgotten.insight_id

),

forgetting as (

    select
        *,
        max(case when is_named then recorded_at end) over (
            partition by customer, subject, metric
        ) as forgotten_to,
        max(case when is_named and verified then recorded_at end) over (
            partition by customer, subject, metric
        ) as verified_forgotten_to
    from marked

),

remembered as (

    select
        *,
        coalesce(
            recorded_at <= case when verified then verified_forgotten_to else forgotten_to end,
            false
        ) as is_forgotten
    from forgetting

),

followed as (

    select
        *,
        lead(recorded_at) over (
            partition by customer, subject, metric
            order by recorded_at, insight_id
        ) as next_recorded_at,
        lead(recorded_at) over (
            partition by customer, subject, metric, verified
            order by recorded_at, insight_id
        ) as next_alike_recorded_at,
        max(case when verified and not is_forgotten then 1 else 0 end) over (
            partition by customer, subject, metric
        ) = 1 as is_known
    from remembered

),

final as (

    select
        insight_id,
        customer,
        ts,
        recorded_at,
        subject,
        metric,
        value,
        value_type,
        value_number,
        value_text,
        provenance_query_hash,
        verified,
        verification_reason,
        basis,
        provenance_template,
        provenance_column,
        case when verified then next_alike_recorded_at else next_recorded_at end as superseded_at,
        session_id,
        query_tag,
        _provenance_landed_at,
        _landed_at,
        '{{ judged_by }}' as _judged_by,
        not is_forgotten
        and case
            when verified then next_alike_recorded_at is null
            else next_recorded_at is null and not is_known
        end as is_current,
        is_forgotten
    from followed

)

select * from final
