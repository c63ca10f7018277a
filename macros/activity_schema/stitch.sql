{#
    Identity resolution as the specification describes it: a row with only an anonymous customer gets the customer of the next later row that holds
    both. Rows that hold a customer, and rows that no later row explains, stay as they are. The result has the specification's columns.

    Of several linking rows at the next linking instant the one with the smallest activity_id counts.
#}
{% macro stitch(stream=none) -%}
{%- set stream = stream or cdesk.default_stream() -%}
{%- set columns = stream.columns -%}
with

activities as (
    select
        {%- for name in ['activity_id', 'ts', 'customer', 'activity', 'anonymous_customer_id', 'feature_json', 'revenue_impact', 'link'] if columns[name].column %}
        {{ columns[name].column }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ stream.relation }}
),

links as (
    select
        anonymous_customer_id,
        ts,
        customer
    from activities
    where customer is not null and anonymous_customer_id is not null
    qualify lag(ts) over (partition by anonymous_customer_id order by ts, activity_id) is distinct from ts
),

stitched as (
    select
        c.activity_id,
        c.ts,
        coalesce(c.customer, a.customer) as customer
        {%- for name in ['activity', 'anonymous_customer_id', 'feature_json', 'revenue_impact', 'link'] if columns[name].column %},
        c.{{ name }}
        {%- endfor %}
    {{ cdesk._as_asof_left_join('activities', 'links', 'c.anonymous_customer_id = a.anonymous_customer_id', 'c.ts < a.ts') }}
)

select * from stitched
{%- endmacro %}
