{#
    An append's CTEs: `append_<i>_rows`, the activity's own rows; `append_<i>`, what is to be
    joined, at most one row for each cohort row to find; and `step_<i>`, the rows so far with the
    appended columns beside them. Which form a relationship takes, and why, is in docs/decisions
    (measured by bench/relationships.py).
#}
{% macro _as_append_ctes(plan, previous, outputs) -%}
{%- set conditions = cdesk._as_row_conditions(plan.name, plan) + cdesk._as_known(plan) -%}
append_{{ plan.index }}_rows as (
    select
        {{ 'cohort_customers._as_number' if plan.numbered else plan.who }} as _who,
        {{ plan.stream.columns.ts.column }} as _ts,
        {{ plan.row_id }} as _activity_id
        {%- if plan.stored %},
        {{ plan.numbering.activity_occurrence }} as _occurrence,
        {{ plan.numbering.activity_repeated_at }} as _next_ts
        {%- endif %}
        {%- for leaf in plan.conditions.leaves %},
        {{ leaf.sql }} as {{ leaf.name }}
        {%- endfor %}
        {%- for value in plan['values'] if value.sql %},
        {{ value.sql }} as {{ value.name }}
        {%- endfor %}
    from {{ plan.stream.relation }}
    {%- if plan.numbered %}
    inner join cohort_customers
        on {{ plan.who }} = cohort_customers._as_name
    {%- endif %}
    where
        {{ conditions | join('\n        and ') }}
),
{%- if plan.conditions.computed %}

step_{{ plan.index }}_computed as (
    select
        c.*
        {%- for leaf in plan.conditions.leaves if leaf.computed %}
        {%- set value = cdesk._as_value(plan.relationship, leaf.cohort, outputs) %}
        {%- do cdesk._as_check_comparable(plan.relationship, leaf.value, value) %},
        {{ value.sql }} as {{ leaf.name }}
        {%- endfor %}
    from {{ previous }} as c
),
{%- set previous = 'step_' ~ plan.index ~ '_computed' %}
{%- endif %}

{% if plan.form == 'pairs' -%}
{{ cdesk._as_pairs(plan, previous) }}
{%- elif plan.form == 'rolling' -%}
{{ cdesk._as_rolling(plan, previous) }}
{%- elif plan.form == 'windowed' -%}
{{ cdesk._as_windowed(plan, previous) }}
{%- elif plan.form == 'grouped' -%}
{{ cdesk._as_grouped(plan, previous) }}
{%- elif plan.form == 'running' -%}
{{ cdesk._as_running(plan, previous) }}
{%- elif plan.form == 'counted' -%}
{{ cdesk._as_counted(plan, previous) }}
{%- elif plan.form == 'nearest' -%}
{{ cdesk._as_nearest(plan, previous) }}
{%- else -%}
{{ cdesk._as_one_a_customer(plan, previous) }}
{%- endif %}
{%- endmacro %}

{# A column computed from the columns so far. #}
{% macro _as_derive_ctes(plan, previous, outputs) -%}
step_{{ plan.index }} as (
    select
        c.*,
        {{ cdesk._as_value('derive', plan.value, outputs).sql }} as {{ plan.name }}
    from {{ previous }} as c
)
{%- endmacro %}

{# `a._who = b._who and …`: the same customer, and what the equality conditions name. #}
{% macro _as_same(plan, left, right) -%}
    {% set conditions = [] %}
    {% for key in plan['keys'] %}
        {% do conditions.append(left ~ '.' ~ key ~ ' = ' ~ right ~ '.' ~ key) %}
    {% endfor %}
    {{ return(conditions | join(' and ')) }}
{%- endmacro %}

{# The order of one customer's appended rows: by time, and within an instant by activity_id. #}
{% macro _as_over(plan) -%}
    {{ return('over (partition by ' ~ plan['keys'] | join(', ') ~ ' order by _ts, _activity_id)') }}
{%- endmacro %}

{# Which row an nth relationship picks; a bound value stands as SQL. #}
{% macro _as_position(plan) -%}
    {% if plan.nth is none %}{{ return(1) }}{% endif %}
    {{ return(plan.nth.sql if plan.nth is mapping else plan.nth) }}
{%- endmacro %}

{# The step itself: what each cohort row takes of the one appended row that is its own. #}
{% macro _as_step(plan, previous, on) -%}
step_{{ plan.index }} as (
    select
        c.*
        {{- cdesk._as_take(plan) }}
    from {{ previous }} as c
    left join append_{{ plan.index }} as a
        on {{ on }}
)
{%- endmacro %}

{#
    The appended columns, all from the one row `a`; outside of `inside` they are null. No match is
    null, and 0 for counts.
#}
{% macro _as_take(plan, inside=none, skip=[]) -%}
    {%- for value in plan['values'] if value.out and value.function not in skip -%}
    {%- if value.function == 'ratio' -%}
    {%- set parts = [] -%}
    {%- for part in value.of %}{% do parts.append(cdesk._as_taken(part)) %}{% endfor -%}
    {%- set taken = 'cast(' ~ parts[0] ~ ' as double) / nullif(' ~ parts[1] ~ ', 0)' -%}
    {%- else -%}
    {%- set taken = cdesk._as_taken(value, inside) -%}
    {%- endif %},
        {{ taken }} as {{ value.out }}
    {%- endfor -%}
{%- endmacro %}

{% macro _as_taken(value, inside=none) -%}
    {% set taken = 'a.' ~ value.name %}
    {% if inside %}{% set taken = 'case when ' ~ inside ~ ' then ' ~ taken ~ ' end' %}{% endif %}
    {% if value.function in cdesk._as_counts() %}
        {{ return('coalesce(' ~ taken ~ ', 0)') }}
    {% endif %}
    {{ return(taken) }}
{%- endmacro %}
