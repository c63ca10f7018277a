{#
    The lines of `landing` but for those of erased customers, and on an engine that knows who landed
    them whether each is foreign: its loader may not name its customer. Rows are not multiplied:
    each join meets at most one entry.
#}
{% macro landed_lines() -%}
    {{ return(adapter.dispatch('landed_lines', 'cdesk')()) }}
{%- endmacro %}

{% macro default__landed_lines() -%}
    {{ cdesk.unerased_lines() }}
{%- endmacro %}

{#
    '*' lets none but a `loader` land for anybody: a user who may see everybody's rows may not.
    A join and no subquery in the check: Snowflake has none inside a CASE.
    https://docs.snowflake.com/en/user-guide/querying-subqueries
    A line without a loader was landed by the account's own people, before there was the column.
#}
{% macro snowflake__landed_lines() -%}
    select
        landing.*,
        landing.landed_by is not null
        and any_customer.principal is null
        and one_customer.principal is null as is_foreign
    from ({{ cdesk.unerased_lines() }}) as landing
    left join (
        select distinct upper(access.principal) as principal
        from {{ ref('customer_access') }} as access
        where access.principal_kind = 'loader' and access.customer = '*'
    ) as any_customer
        on upper(landing.landed_by) = any_customer.principal
    left join (
        select distinct
            upper(access.principal) as principal,
            access.customer
        from {{ ref('customer_access') }} as access
        where access.principal_kind in ('user', 'loader')
    ) as one_customer
        on
            upper(landing.landed_by) = one_customer.principal
            and cast(get(landing.payload, 'customer') as varchar) = one_customer.customer
{%- endmacro %}
