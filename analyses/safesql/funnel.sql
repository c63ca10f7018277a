{#-
    Step by step, each customer's first time at a step after the one before, within the days since
    the first step.
-#}
{%- set steps = range(1, 9) -%}
with

rows_of_step_1 as (

    select
        customer as _who,
        min(ts) as _ts
    from {{ ref('events') }}
    where
        activity = {{ cdesk._as_bound_item('steps', 1) }}
        and {{ cdesk.caller_rows('customer') }}
        and {{ cdesk.bound_span('ts') }}
        and customer is not null
    group by customer

),

step_1 as (

    select
        _who,
        _ts as started_at,
        _ts,
        cast(null as double) as seconds
    from rows_of_step_1

),
{% for step in steps if step > 1 %}
rows_of_step_{{ step }} as (

    select
        customer as _who,
        ts as _ts
    from {{ ref('events') }}
    where
        activity = {{ cdesk._as_bound_item('steps', step) }}
        and {{ cdesk.caller_rows('customer') }}
        and customer is not null
        and (activity_repeated_at is null or activity_repeated_at > ts)

),

step_{{ step }}_nearest as (

    select
        c._who,
        c.started_at,
        c._ts as previous_at,
        a._ts
    {{ cdesk._as_asof_left_join(
        'step_' ~ (step - 1), 'rows_of_step_' ~ step, 'c._who = a._who', 'c._ts < a._ts'
    ) }}

),

step_{{ step }} as (

    select
        _who,
        started_at,
        _ts,
        {{ cdesk._as_seconds('previous_at', '_ts') }} as seconds
    from step_{{ step }}_nearest
    where _ts <= {{ dbt.dateadd('day', cdesk.bind_as('within_days', 'integer'), 'started_at') }}

),
{% endfor %}
reached as (

    {% for step in steps %}
    select
        {{ step }} as step,
        {{ cdesk._as_bound_item('steps', step) }} as activity,
        count(*) as reached,
        median(seconds) as median_seconds
    from step_{{ step }}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

converted as (

    select
        step,
        activity,
        reached,
        reached / nullif(cast(lag(reached) over (order by step) as double), 0)
            as converted_from_previous,
        reached / nullif(cast(first_value(reached) over (order by step) as double), 0)
            as converted_from_first,
        median_seconds
    from reached
    where activity is not null

)

select * from converted
order by step
