{#-
    What follows an activity: the next activities of the same customer, in order, as far as `depth`.
-#}
{%- set steps = range(1, 7) -%}
with

activities as (

    select
        customer,
        activity,
        {% for step in steps %}
        lead(activity, {{ step }}) over (
            partition by customer order by ts, _activity_id
        ) as next_{{ step }},
        {% endfor %}
        ts
    from {{ ref('events') }}
    where
        {{ cdesk.caller_rows('customer') }}
        and customer is not null

),

starts as (

    select
        customer,
        {% for step in steps %}
        case
            when {{ cdesk.bind_as('depth', 'integer') }} >= {{ step }} then next_{{ step }}
        end as step_{{ step }},
        {% endfor %}
        activity as start_activity
    from activities
    where
        activity = {{ cdesk.bind('start_activity') }}
        and {{ cdesk.bound_span('ts') }}

),

paths as (

    select
        start_activity,
        {% for step in steps %}
        step_{{ step }},
        {% endfor %}
        count(*) as occurrences,
        count(distinct customer) as customers
    from starts
    group by
        {% for step in steps %}
        step_{{ step }},
        {% endfor %}
        start_activity

),

shares as (

    select
        *,
        occurrences / cast(sum(occurrences) over () as double) as share
    from paths

)

select * from shares
{{ cdesk.first_rows(
    'occurrences desc, step_1 nulls first, step_2 nulls first, step_3 nulls first, '
    ~ 'step_4 nulls first, step_5 nulls first, step_6 nulls first'
) }}
