{#
    One row per relation or column of the schema that lacks the policy it should have; none where
    the engine has no policies.
#}
{% macro unguarded() -%}
    {{ return(adapter.dispatch('unguarded', 'cdesk')()) }}
{%- endmacro %}

{% macro default__unguarded() -%}
    select cast(null as varchar) as relation, cast(null as varchar) as missing
    where false
{%- endmacro %}

{% macro snowflake__unguarded() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set expected = [] -%}
    {%- if execute and cdesk._is_governed() -%}
        {%- for relation in cdesk._governed_relations(false) -%}
            {%- if relation.protection.row_access -%}
                {%- do expected.append((relation.name,
                    relation.protection.row_access.split(' ')[0].split('.')[-1], '')) -%}
            {%- endif -%}
            {%- for column, policy in relation.protection.masks.items() -%}
                {%- do expected.append((relation.name, policy.split('.')[-1], column)) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if not expected -%}
        {{ return(cdesk.default__unguarded()) }}
    {%- endif %}
    with

    expected (relation, policy, column_name) as (

        select * from values
        {%- for relation, policy, column in expected %}
        ('{{ relation | upper }}', '{{ policy | upper }}', '{{ column | upper }}'){{ ','
            if not loop.last }}
        {%- endfor %}

    ),

    attached as (

        {%- for policy in ['customer_rows', 'internal_rows', 'landing_rows', 'access_rows',
            'mask_document', 'mask_landing', 'mask_text', 'mask_json_text', 'mask_link'] %}
        select
            upper(ref_entity_name) as relation,
            '{{ policy | upper }}' as policy,
            coalesce(upper(ref_column_name), '') as column_name
        from table({{ target.database }}.information_schema.policy_references(policy_name => '{{ names[policy] }}'))
        {{ 'union all' if not loop.last }}
        {%- endfor %}

    )

    select
        expected.relation,
        expected.policy || case when expected.column_name = '' then '' else ' on ' || expected.column_name end as missing
    from expected
    left join attached
        on
            expected.relation = attached.relation
            and expected.policy = attached.policy
            and expected.column_name = attached.column_name
    where attached.relation is null
{%- endmacro %}
