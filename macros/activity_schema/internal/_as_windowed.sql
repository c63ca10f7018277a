{#
    Aggregates inside a window between two cohort rows, and whatever has further conditions there.
    Windows of one customer don't overlap, so each appended row belongs to the window of the nearest
    cohort row before it (in_between) or after it (between_before), or to none; the rows of a window
    are then at hand together. Of two cohort rows at one instant only one has a window: the later
    one looking forwards, the earlier one looking back.
#}
{% macro _as_windowed(plan, previous) -%}
{%- set i = plan.index -%}
{%- set back = plan.span == 'between_before' -%}
{%- set neighbour = '_previous_ts' if back else '_next_ts' -%}
{%- set away = (neighbour ~ ' < ' if back else neighbour ~ ' > ') -%}
{%- set limits = [cdesk._as_bound_sql(plan.low, '_ts', '_window')] -%}
{%- do limits.append(cdesk._as_bound_sql(plan.high, '_ts', '_window')) -%}
{%- for key in plan.conditions['keys'] %}
    {%- do limits.append(key ~ ' = _window' ~ key) %}
{%- endfor -%}
{%- for check in plan.checks %}
    {%- do limits.append(cdesk._as_check_sql(check, '', '_window')) %}
{%- endfor -%}
append_{{ i }}_windows as (
    select
        _who,
        _ts,
        {{ neighbour }}
        {%- for leaf in plan.conditions.leaves if leaf.cohort is not none %},
        {{ leaf.name }}
        {%- endfor %}
    from cohort_rows
    where _who is not null and ({{ neighbour }} is null or {{ away }}_ts)
),

append_{{ i }}_placed as (
    select
        a._ts as _window_ts,
        a._who as _window_who,
        a.{{ neighbour }} as _window{{ neighbour }},
        {%- for leaf in plan.conditions.leaves if leaf.cohort is not none %}
        a.{{ leaf.name }} as _window{{ leaf.name }},
        {%- endfor %}
        c.*
    {{ cdesk._as_asof_left_join(
        'append_' ~ i ~ '_rows', 'append_' ~ i ~ '_windows', 'c._who = a._who',
        ('c._ts < a._ts' if plan.spine else 'c._ts <= a._ts') if back else 'c._ts >= a._ts',
    ) }}
),

append_{{ i }} as (
    select
        _window_who,
        _window_ts
        {%- if plan.aggregate %}
        {{- cdesk._as_aggregates_sql(plan) }}
        {%- else %}
        {%- for value in plan['values'] %},
        {{ value.name }}
        {%- endfor %}
        {%- endif %}
    from append_{{ i }}_placed
    where
        {{ limits | join('\n        and ') }}
    {%- if plan.aggregate %}
    group by _window_who, _window_ts
    {%- else %}
    {%- set direction = ' desc' if plan.pick == 'last' else '' %}
    qualify row_number() over (
        partition by _window_who, _window_ts
        order by _ts{{ direction }}, _activity_id{{ direction }}
    ) = {{ cdesk._as_position(plan) }}
    {%- endif %}
),

step_{{ i }} as (
    select
        c.*
        {{- cdesk._as_take(plan) }}
    from {{ previous }} as c
    left join append_{{ i }} as a
        on
            c._who = a._window_who and c._ts = a._window_ts
            and (c.{{ neighbour }} is null or c.{{ away }}c._ts)
)
{%- endmacro %}
