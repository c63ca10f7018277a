{#
    The first run that holds what an insight says, one row per insight that is proven. Text is equal
    as it was shown, whatever its type there. Numbers without a fraction are equal exactly, at any
    size; two with one within 1e-9 of the larger. Beyond 2^53 a double has no fraction, so that no
    tolerance is left.
#}
{% macro insight_proofs(claims, evidence) -%}
    select
        claims.insight_id,
        evidence.template,
        evidence.column_name,
        evidence.basis,
        evidence._landed_at
    from {{ claims }} as claims
    inner join {{ evidence }} as evidence
        on
            claims.customer = evidence.customer
            and claims.provenance_query_hash = evidence.query_hash
    where
        (claims.value_type = 'string' and claims.value_text = evidence.value_text)
        or (
            claims.value_type = 'boolean'
            and evidence.value_type = 'boolean'
            and claims.value_text = evidence.value_text
        )
        or claims.value_integer = evidence.value_integer
        or (
            claims.value_type = 'number'
            and claims.value_integer is null
            and evidence.value_integer is null
            and abs(claims.value_number - evidence.value_number) <= case
                when abs(claims.value_number) >= 9007199254740992 then 0
                else 1e-9 * greatest(abs(claims.value_number), abs(evidence.value_number))
            end
        )
    qualify
        row_number() over (
            partition by claims.insight_id
            order by
                evidence._landed_at, evidence.query_run_id, evidence.basis desc,
                evidence.column_name
        ) = 1
{%- endmacro %}
