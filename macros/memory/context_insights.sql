{#
    The insights of a context, one row per customer of `atoms` (a CTE with the columns of
    insight_atoms): `insights`, the verified ones, and `unverified`, each the latest of its
    (subject, metric), newest first. They are numbered after the superseded ones have gone: a
    subject that is recorded often must not push the others out. What was forgotten is left out.
#}
{% macro context_insights(atoms) -%}
    {%- set order = 'recorded_at desc, insight_id desc' -%}
    {%- set keys = [
        ['subject', cdesk.json_quote('subject')],
        ['metric', cdesk.json_quote('metric')],
        ['value', "coalesce(" ~ cdesk.json_compact('value') ~ ", 'null')"],
        ['ts', cdesk.json_quote(cdesk.timestamp_text('recorded_at'))],
        ['provenance_query_hash', cdesk.json_quote('provenance_query_hash')],
        ['insight_id', cdesk.json_quote('insight_id')],
    ] -%}
    with

    latest as (

        select *
        from {{ atoms }}
        where not is_forgotten
        qualify
            row_number() over (
                partition by customer, subject, metric, verified order by {{ order }}
            ) = 1

    ),

    numbered as (

        select
            *,
            row_number() over (partition by customer, verified order by {{ order }}) as position
        from latest

    ),

    entries as (

        select
            customer,
            recorded_at,
            insight_id,
            case
                when verified and position <= 100 then
                    {{ cdesk.json_object(keys + [
                        ['template', cdesk.json_quote('provenance_template')],
                        ['basis', cdesk.json_quote('basis')],
                    ]) }}
            end as verified_entry,
            case
                when not verified and position <= 50 then
                    {{ cdesk.json_object(
                        keys + [['reason', cdesk.json_quote('verification_reason')]]
                    ) }}
            end as unverified_entry
        from numbered

    )

    select
        customer,
        {{ cdesk.json_array_agg('verified_entry', order) }} as insights,
        {{ cdesk.json_array_agg('unverified_entry', order) }} as unverified
    from entries
    group by customer
{%- endmacro %}
