{#
    How the runs of each (customer, query_hash) ended, all of them together, whether their template
    declares any evidence, and whether each one's SQL is one that its template has had. `runs` is a
    CTE with the columns of provenance_chain and `is_template_sql`.
#}
{% macro insight_runs(runs) -%}
    select
        customer,
        query_hash,
        max(_landed_at) as _landed_at,
        max(case when status = 'succeeded' then 1 else 0 end) = 1 as has_succeeded,
        max(
            case
                when status = 'succeeded' and template in {{ cdesk.evidence_templates() }} then 1
                else 0
            end
        ) = 1 as has_evidence,
        min(
            case when status = 'succeeded' and not is_template_sql then 0 else 1 end
        ) = 1 as has_template_sql,
        min(
            case when status = 'succeeded' and not has_complete_evidence then 0 else 1 end
        ) = 1 as is_complete
    from {{ runs }}
    group by customer, query_hash
{%- endmacro %}
