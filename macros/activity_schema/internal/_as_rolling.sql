{#
    Aggregates over a window of fixed length that moves with the cohort row (`within`), where each
    can be put together from those of two parts. Time is cut into slices as long as the window, so
    that every window is the end of one slice and the beginning of the next: running aggregates from
    either end, found by two ASOF joins, cost the same however many rows a window holds.

    Where windows hold few rows, joining rows with rows costs less. Whoever has more than a few in
    one slice goes the one way, everybody else the other.
#}
{% macro _as_rolling(plan, previous) -%}
{%- set i = plan.index -%}
{%- set values = plan['values'] | rejectattr('function', 'equalto', 'ratio') | list -%}
{%- set parts = cdesk._as_rolling_parts(values) -%}
{%- set ordered = values | selectattr('function', 'in', ['first_value', 'last_value']) | list -%}
{%- set seconds = cdesk._as_rolling_seconds(plan) -%}
{%- set low = dict(plan.low, sql='c._from') -%}
{%- set high = dict(plan.high, sql='c._until') -%}
{%- set sliced = dict(plan, keys=plan['keys'] + ['_slice'], stored=false) -%}
{%- set dense = 'append_' ~ i ~ '_dense_rows' -%}
append_{{ i }}_slices as (
    select
        {{ plan['keys'] | join(',\n        ') }},
        _ts,
        {%- if ordered %}
        _activity_id,
        {%- endif %}
        {%- for value in values if value.sql %}
        {{ value.name }},
        {%- endfor %}
        {%- for part in parts if part.copied %}
        {{ part.copied }} as {{ part.name }},
        {%- endfor %}
        {{ cdesk._as_slice('_ts', seconds) }} as _slice
    from append_{{ i }}_rows
),

append_{{ i }}_dense as {{ cdesk._as_once() }}(
    select distinct _who
    from (
        select _who
        from append_{{ i }}_slices
        group by _who, _slice
        having count(*) > {{ cdesk._as_few() }}
    ) as many
),

{{ dense }} as (
    select a.*
    from append_{{ i }}_slices as a
    inner join append_{{ i }}_dense as d
        on a._who = d._who
),

{{ cdesk._as_running_rows(dict(sliced, index=i ~ '_since'), parts, dense, true) }},

{{ cdesk._as_running_rows(dict(sliced, index=i ~ '_until'), parts, dense, false) }},

step_{{ i }}_windows as {{ cdesk._as_each_time() }}(
    select
        {{ cdesk._as_window_keys(plan) }},
        {{ plan.low.sql }} as _from,
        {{ plan.high.sql }} as _until,
        {{ cdesk._as_slice(plan.low.sql, seconds) }} as _slice,
        d._who is not null as _is_dense
    from {{ previous }} as c
    left join append_{{ i }}_dense as d
        on c._who = d._who
),

step_{{ i }}_dense as (
    select *
    from step_{{ i }}_windows
    where _is_dense
),

step_{{ i }}_since as (
    select
        {{ cdesk._as_window_keys(plan) }},
        c._until,
        c._slice + 1 as _slice
        {%- for part in parts %},
        a.{{ part.name }} as _since{{ part.name }}
        {%- endfor %}
    {{ cdesk._as_asof_left_join(
        'step_' ~ i ~ '_dense', 'append_' ~ i ~ '_since', cdesk._as_same(sliced, 'c', 'a'),
        'c._from' ~ cdesk._as_match(low).sign ~ 'a._ts',
    ) }}
),

step_{{ i }}_both as (
    select
        c.*
        {%- for part in parts %},
        a.{{ part.name }} as _until{{ part.name }}
        {%- endfor %}
    {{ cdesk._as_asof_left_join(
        'step_' ~ i ~ '_since', 'append_' ~ i ~ '_until', cdesk._as_same(sliced, 'c', 'a'),
        'c._until' ~ cdesk._as_match(high).sign ~ 'a._ts',
    ) }}
),

step_{{ i }}_sparse as (
    {%- for slice in ['c._slice', 'c._slice + 1'] %}
    select
        {{ cdesk._as_window_keys(plan) }},
        c._from,
        c._until,
        {{ slice }} as _slice
    from step_{{ i }}_windows as c
    where not c._is_dense
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
),

append_{{ i }}_pairs as (
    select
        c._row as _cohort_row,
        a.*
    from step_{{ i }}_sparse as c
    inner join append_{{ i }}_slices as a
        on
            {{ cdesk._as_same(sliced, 'c', 'a') }}
            and {{ cdesk._as_bound_sql(low, 'a._ts') }}
            and {{ cdesk._as_bound_sql(high, 'a._ts') }}
),

append_{{ i }} as (
    select
        _cohort_row
        {{- cdesk._as_aggregates_sql(dict(plan, stored=false)) }}
    from append_{{ i }}_pairs
    group by _cohort_row
    union all
    select
        _row as _cohort_row
        {%- for value in values %},
        {{ cdesk._as_put_together(value) }} as {{ value.name }}
        {%- endfor %}
    from step_{{ i }}_both
),

{{ cdesk._as_step(plan, previous, 'c._row = a._cohort_row') }}
{%- endmacro %}

{# What a window is of: its cohort row, and what an appended row must have in common with it. #}
{% macro _as_window_keys(plan) -%}
    {%- for key in ['_row'] + plan['keys'] -%}
        c.{{ key }}{{ ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
