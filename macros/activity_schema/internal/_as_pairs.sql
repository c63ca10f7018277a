{#
    The one form that joins rows with rows: a condition of order (less than, at most, …, not equals) between appended and cohort values, outside a window
    between two cohort rows. No order of rows answers two inequalities at once, so its cost is the product of a customer's two activities; equality
    conditions narrow it first.
#}
{% macro _as_pairs(plan, previous) -%}
{%- set i = plan.index -%}
{%- set last = plan.relationship.startswith('last_') -%}
append_{{ i }}_pairs as (
    select
        c._row as _cohort_row,
        a.*
    from cohort as c
    inner join append_{{ i }}_rows as a
        on
            {{ cdesk._as_same(plan, 'c', 'a') }}
            {%- if plan.relationship.endswith('_before') %}
            and a._ts < c._ts
            {%- elif plan.relationship.endswith('_after') %}
            and a._ts > c._ts
            {%- endif %}
            {%- for condition in plan.conditions if condition.operator != 'equals' %}
            and a.{{ condition.name }} {{ cdesk._as_comparisons()[condition.operator] }} c.{{ condition.name }}
            {%- endfor %}
),

append_{{ i }} as (
    select
        {%- if plan.aggregate %}
        _cohort_row
        {{- cdesk._as_aggregates_sql(plan) }}
    from append_{{ i }}_pairs
    group by _cohort_row
        {%- else %}
        *
    from append_{{ i }}_pairs
    {%- set direction = ' desc' if last else '' %}
    qualify row_number() over (partition by _cohort_row order by _ts{{ direction }}, _activity_id{{ direction }}) = {{ plan.nth or 1 }}
        {%- endif %}
),

step_{{ i }} as (
    select
        c.*
        {{- cdesk._as_take(plan) }}
    from {{ previous }} as c
    left join append_{{ i }} as a
        on c._row = a._cohort_row
)
{%- endmacro %}
