{#
    The values that stand in the evidence columns of succeeded runs, one row per run, column and
    value. `runs` is a CTE with the columns of provenance_chain and `is_template_sql`. What a run
    says of its columns counts only as far as the templates declare it, and where the SQL is the
    template's.
#}
{% macro insight_evidence(runs) -%}
    {%- set declared = cdesk.evidence_columns() -%}
    {%- set names = declared | map(attribute=0) | list -%}
    {%- set reported = declared | selectattr(1, 'equalto', 'reported') | map(attribute=0) | list -%}
    with

    succeeded as (

        select
            customer,
            query_hash,
            query_run_id,
            template,
            _landed_at,
            evidence
        from {{ runs }}
        where status = 'succeeded' and is_template_sql

    ),

    evidence_columns as (

        select
            customer,
            query_hash,
            query_run_id,
            template,
            _landed_at,
            {{ cdesk.json_string('element', 'column') }} as column_name,
            {{ cdesk.json_string('element', 'basis') }} as basis,
            {{ cdesk.json_string('element', 'type') }} as value_type,
            {{ cdesk.json_value('element', 'values') }} as column_values
        {{ cdesk.json_elements('succeeded', 'evidence') }}

    ),

    declared as (

        select *
        from evidence_columns
        where
            template || '.' || column_name in ('{{ names | join("', '") }}')
            and {{ cdesk.json_is('column_values', 'array') }}

    ),

    shown as (

        select
            *,
            {{ cdesk.json_text('element') }} as value_text
        {{ cdesk.json_elements('declared', 'column_values') }}

    )

    select
        customer,
        query_hash,
        query_run_id,
        template,
        column_name,
        _landed_at,
        case
            when
                basis = 'system'
                and template || '.' || column_name not in ('{{ reported | join("', '") }}')
                then 'system'
            else 'reported'
        end as basis,
        value_type,
        value_text,
        case when value_type = 'number' then {{ cdesk.try_double('value_text') }} end
            as value_number,
        case when value_type = 'number' then {{ cdesk.exact_integer('value_text') }} end
            as value_integer
    from shown
{%- endmacro %}
