{#
    Identity resolution as the specification describes it: a row with only an anonymous customer
    gets the customer of the next later row that holds both. Rows that hold a customer, and rows
    that no later row explains, stay as they are. The result has the specification's columns, and
    those that the stream declares besides.

    Of several linking rows at the next linking instant the one with the smallest activity_id
    counts.
#}
{% macro stitch(stream=none) -%}
{%- do cdesk._as_check_arguments('stitch', ['stream'], kwargs, varargs) -%}
{%- set stream = cdesk._as_stream_of(stream) -%}
{#- Numbers by customer don't hold once customers are filled in. -#}
{%- set names = cdesk._as_stream_names(stream) -%}
with

activities as (
    select
        {%- for name in names %}
        {{ stream.columns[name].column }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ stream.relation }}
)
{%- if 'anonymous_customer_id' not in names %}

select * from activities
{%- else %},

links as (
    select
        anonymous_customer_id,
        ts,
        customer
    from activities
    where customer is not null and anonymous_customer_id is not null and ts is not null
    qualify row_number() over (
        partition by anonymous_customer_id, ts order by activity_id, activity
    ) = 1
),

stitched as (
    select
        {%- for name in names %}
        {{ 'coalesce(c.customer, a.customer) as customer' if name == 'customer' else 'c.' ~ name }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    {{ cdesk._as_asof_left_join(
        'activities', 'links', 'c.anonymous_customer_id = a.anonymous_customer_id', 'c.ts < a.ts'
    ) }}
)

select * from stitched
{%- endif %}
{%- endmacro %}
