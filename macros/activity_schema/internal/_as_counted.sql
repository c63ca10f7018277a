{#
    The nth row of a span with a beginning: count what happened before it begins; the row wanted
    has that number plus n, if it keeps to the span's end.
#}
{% macro _as_counted(plan, previous) -%}
{%- set i = plan.index -%}
{%- set before = dict(plan.low, side='high', inclusive=not plan.low.inclusive) -%}
{%- set match = cdesk._as_match(before) -%}
append_{{ i }} as (
    select
        {{ plan['keys'] | join(', ') }},
        _ts,
        {%- for value in plan['values'] %}
        {{ value.name }},
        {%- endfor %}
        {{ '_occurrence' if plan.stored else 'row_number() ' ~ cdesk._as_over(plan) }} as _position
    from append_{{ i }}_rows
),

append_{{ i }}_instants as (
    select
        {{ plan['keys'] | join(', ') }},
        _ts,
        max(_position) as _position
    from append_{{ i }}
    group by {{ plan['keys'] | join(', ') }}, _ts
),

{% if not match.column -%}
step_{{ i }}_limit as (
    select
        c.*,
        {{ before.sql }} as _limit_{{ i }}
    from {{ previous }} as c
),

{% set previous = 'step_' ~ i ~ '_limit' -%}
{%- endif -%}
step_{{ i }}_position as (
    select
        c.*,
        {%- if not plan.low.open %}
        case when {{ match.column or 'c._limit_' ~ i }} is not null then
        {%- endif %} coalesce(a._position, 0) + {{ cdesk._as_position(plan) }}
        {%- if not plan.low.open %} end{% endif %} as _position_{{ i }}
    {{ cdesk._as_asof_left_join(
        previous, 'append_' ~ i ~ '_instants', cdesk._as_same(plan, 'c', 'a'),
        (match.column or 'c._limit_' ~ i) ~ match.sign ~ 'a._ts',
    ) }}
),

step_{{ i }} as (
    select
        c.*
        {{- cdesk._as_take(plan, cdesk._as_bound_sql(plan.high, 'a._ts') if plan.high else none) }}
    from step_{{ i }}_position as c
    left join append_{{ i }} as a
        on {{ cdesk._as_same(plan, 'c', 'a') }} and c._position_{{ i }} = a._position
)
{%- endmacro %}
