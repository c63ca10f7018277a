{#
    An append's CTEs: `append_<i>_rows`, the activity's own rows; `append_<i>`, what is to be joined, at most one row for each cohort row to find;
    and `step_<i>`, the rows so far with the appended columns beside them. Which form a relationship takes, and why, is in
    docs/decisions (measured by bench/relationships.py).
#}
{% macro _as_append_ctes(plan, previous) -%}
append_{{ plan.index }}_rows as (
    select
        {{ 'cohort_customers._as_number' if plan.numbered else plan.who }} as _who,
        {{ plan.stream.columns.ts.column }} as _ts,
        {{ plan.stream.columns.activity_id.column }} as _activity_id
        {%- if plan.stored %},
        {{ plan.numbering.activity_occurrence }} as _occurrence,
        {{ plan.numbering.activity_repeated_at }} as _next_ts
        {%- endif %}
        {%- for condition in plan.conditions %},
        {{ condition.sql }} as {{ condition.name }}
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
        {{ (cdesk._as_row_conditions(plan.name, plan) + ([] if plan.numbered else [plan.who ~ ' is not null'])) | join('\n        and ') }}
),

{% if plan.form == 'pairs' -%}
{{ cdesk._as_pairs(plan, previous) }}
{%- elif plan.form == 'windowed' -%}
{{ cdesk._as_windowed(plan, previous) }}
{%- elif plan.form == 'grouped' -%}
{{ cdesk._as_grouped(plan, previous) }}
{%- elif plan.form == 'running' -%}
{{ cdesk._as_running(plan, previous) }}
{%- elif plan.form == 'counted' -%}
{{ cdesk._as_counted(plan, previous) }}
{%- elif plan.form == 'nearest_row' -%}
{{ cdesk._as_nearest_row(plan, previous) }}
{%- else -%}
{{ cdesk._as_one_a_customer(plan, previous) }}
{%- endif %}
{%- endmacro %}

{# `a._who = b._who and …`: the same customer, and what the equality conditions name. #}
{% macro _as_same(plan, left, right) -%}
    {% set conditions = [] %}
    {% for key in plan['keys'] %}{% do conditions.append(left ~ '.' ~ key ~ ' = ' ~ right ~ '.' ~ key) %}{% endfor %}
    {{ return(conditions | join(' and ')) }}
{%- endmacro %}

{# The order of one customer's appended rows: by time, and within an instant by activity_id. #}
{% macro _as_over(plan) -%}
    {{ return('over (partition by ' ~ plan['keys'] | join(', ') ~ ' order by _ts, _activity_id)') }}
{%- endmacro %}

{#
    first_ever, last_ever, nth_ever, first_before, nth_before, last_after: the row is the same for all of a customer's cohort rows, if it
    qualifies at all. The first row before t is the first ever if that is before t; likewise the nth, and the last after.
#}
{% macro _as_one_a_customer(plan, previous) -%}
{%- set last = plan.relationship.startswith('last_') -%}
{%- set nth = 1 if plan.nth is none else (plan.nth.sql if plan.nth is mapping else plan.nth) -%}
append_{{ plan.index }} as (
    select *
    from append_{{ plan.index }}_rows
    {%- if plan.stored %}
    where {{ '_next_ts is null' if last else '_occurrence = ' ~ nth }}
    {%- else %}
    qualify {{ 'lead(_ts) ' ~ cdesk._as_over(plan) ~ ' is null' if last else 'row_number() ' ~ cdesk._as_over(plan) ~ ' = ' ~ nth }}
    {%- endif %}
),

step_{{ plan.index }} as (
    select
        c.*
        {{- cdesk._as_take(plan) }}
    from {{ previous }} as c
    left join append_{{ plan.index }} as a
        on {{ cdesk._as_same(plan, 'c', 'a') }}
        {%- if plan.relationship.endswith('_before') %} and a._ts < c._ts{% elif plan.relationship.endswith('_after') %} and a._ts > c._ts{% endif %}
)
{%- endmacro %}

{#
    last_before, first_after, first_in_between, last_in_between: the nearest instant, by an ASOF join against one row an instant. In a window, the
    nearest row counts only where it lies inside.

    By the stream's own numbering an instant's last row is known from itself: the next one is later. Its first row isn't; but instants of several rows are
    few, so the last row is joined, and those that have an earlier one are looked up in a small table.
#}
{% macro _as_nearest_row(plan, previous) -%}
{%- set i = plan.index -%}
{%- set latest = plan.relationship.startswith('last_') -%}
{%- set inside = {'first_in_between': 'a._ts < c._end_ts', 'last_in_between': 'a._ts > c._ts'}.get(plan.relationship) -%}
{%- set tied = plan.stored and not latest -%}
append_{{ i }} as (
    select *
    from append_{{ i }}_rows
    {%- if plan.stored %}
    where _next_ts is null or _next_ts > _ts
    {%- else %}
    qualify {{ 'lead' if latest else 'lag' }}(_ts) {{ cdesk._as_over(plan) }} is distinct from _ts
    {%- endif %}
),

{% if tied -%}
append_{{ i }}_tied as (
    select *
    from append_{{ i }}_rows
    where _next_ts = _ts
    qualify row_number() over (partition by _who, _ts order by _activity_id) = 1
),

step_{{ i }}_nearest as (
    select
        c.*,
        a._ts as _ts_{{ i }}
        {%- for value in plan['values'] %},
        a.{{ value.name }} as _last_{{ i }}{{ value.name }}
        {%- endfor %}
    {{ cdesk._as_asof_left_join(previous, 'append_' ~ i, cdesk._as_same(plan, 'c', 'a'), 'c._ts < a._ts') }}
),

step_{{ i }} as (
    select
        c.*
        {%- for value in plan['values'] %},
        case
            {%- if inside %}
            when c._ts_{{ i }} >= c._end_ts then null
            {%- endif %}
            when a._who is not null then a.{{ value.name }}
            else c._last_{{ i }}{{ value.name }}
        end as {{ value.out }}
        {%- endfor %}
    from step_{{ i }}_nearest as c
    left join append_{{ i }}_tied as a
        on c._who = a._who and c._ts_{{ i }} = a._ts
)
{%- else -%}
step_{{ i }} as (
    select
        c.*
        {{- cdesk._as_take(plan, inside) }}
    {{ cdesk._as_asof_left_join(
        previous, 'append_' ~ i, cdesk._as_same(plan, 'c', 'a'),
        ('c._end_ts' if plan.between else 'c._ts') ~ ' > a._ts' if latest else 'c._ts < a._ts',
    ) }}
)
{%- endif %}
{%- endmacro %}

{# nth_after: count what happened up to and at the cohort row's instant; the row wanted has that number plus n. #}
{% macro _as_counted(plan, previous) -%}
{%- set i = plan.index -%}
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

step_{{ i }}_position as (
    select
        c.*,
        coalesce(a._position, 0) + {{ plan.nth.sql if plan.nth is mapping else plan.nth }} as _position_{{ i }}
    {{ cdesk._as_asof_left_join(previous, 'append_' ~ i ~ '_instants', cdesk._as_same(plan, 'c', 'a'), 'c._ts >= a._ts') }}
),

step_{{ i }} as (
    select
        c.*
        {{- cdesk._as_take(plan) }}
    from step_{{ i }}_position as c
    left join append_{{ i }} as a
        on {{ cdesk._as_same(plan, 'c', 'a') }} and c._position_{{ i }} = a._position
)
{%- endmacro %}

{# The appended columns, all from the one row `a`; outside of `inside` they are null. No match: null, and 0 for counts. #}
{% macro _as_take(plan, inside=none, skip=none) -%}
    {%- for value in plan['values'] if skip is none or value.function != skip -%}
    {%- set taken = 'a.' ~ value.name -%}
    {%- if inside %}{% set taken = 'case when ' ~ inside ~ ' then ' ~ taken ~ ' end' %}{% endif -%}
    {%- if value.function in ['count', 'count_distinct'] %}{% set taken = 'coalesce(' ~ taken ~ ', 0)' %}{% endif %},
        {{ taken }} as {{ value.out }}
    {%- endfor -%}
{%- endmacro %}
