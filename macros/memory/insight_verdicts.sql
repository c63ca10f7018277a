{#
    Whether each insight is verified, and why not: one row per row of `claims`, with what proves it.
    `runs` is of `insight_runs`, `proofs` of `insight_proofs`.
#}
{% macro insight_verdicts(claims, runs, proofs) -%}
    select
        claims.*,
        proofs.insight_id is not null as verified,
        case
            when claims.provenance_query_hash is null then 'no_provenance'
            when runs.query_hash is null then 'unknown_query'
            when not runs.has_succeeded then 'query_not_succeeded'
            when not runs.has_evidence then 'not_evidence'
            when proofs.insight_id is not null then 'verified'
            when not runs.has_template_sql then 'unknown_template_sql'
            when claims.value_type = 'null' then 'no_value'
            when not runs.is_complete then 'evidence_incomplete'
            else 'value_not_in_evidence'
        end as verification_reason,
        proofs.basis,
        proofs.template as provenance_template,
        proofs.column_name as provenance_column,
        coalesce(proofs._landed_at, runs._landed_at) as _provenance_landed_at
    from {{ claims }} as claims
    left join {{ runs }} as runs
        on
            claims.customer = runs.customer
            and claims.provenance_query_hash = runs.query_hash
    left join {{ proofs }} as proofs on claims.insight_id = proofs.insight_id
{%- endmacro %}
