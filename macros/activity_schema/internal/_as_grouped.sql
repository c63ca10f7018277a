{# An aggregate without limits: one row a customer. #}
{% macro _as_grouped(plan, previous) -%}
append_{{ plan.index }} as (
    select
        {{ plan['keys'] | join(',\n        ') }}
        {{- cdesk._as_aggregates_sql(plan) }}
    from append_{{ plan.index }}_rows
    group by {{ plan['keys'] | join(', ') }}
),

{{ cdesk._as_step(plan, previous, cdesk._as_same(plan, 'c', 'a')) }}
{%- endmacro %}
