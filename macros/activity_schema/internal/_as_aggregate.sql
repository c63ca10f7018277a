{# aggregate_all_ever: one row a customer. #}
{% macro _as_grouped(plan, previous) -%}
append_{{ plan.index }} as (
    select
        {{ plan['keys'] | join(',\n        ') }}
        {{- cdesk._as_aggregates_sql(plan) }}
    from append_{{ plan.index }}_rows
    group by {{ plan['keys'] | join(', ') }}
),

step_{{ plan.index }} as (
    select
        c.*
        {{- cdesk._as_take(plan) }}
    from {{ previous }} as c
    left join append_{{ plan.index }} as a
        on {{ cdesk._as_same(plan, 'c', 'a') }}
)
{%- endmacro %}

{#
    aggregate_in_between, and what else has conditions of order inside a window. Windows of one customer don't overlap, so each appended row belongs to
    the window of the nearest cohort row before it, or to none; the rows of a window are then at hand together. The last window of a time spine has an
    end, though no other begins there.
    Of two cohort rows at one instant only the later one has a window.
#}
{% macro _as_windowed(plan, previous) -%}
{%- set i = plan.index -%}
append_{{ i }}_windows as (
    select
        _who,
        _ts,
        _next_ts
        {%- for condition in plan.conditions %},
        {{ condition.name }}
        {%- endfor %}
    from cohort_rows
    where _who is not null and (_next_ts is null or _next_ts > _ts)
),

append_{{ i }}_placed as (
    select
        a._ts as _window_ts,
        a._who as _window_who,
        a._next_ts as _window_next_ts,
        {%- for condition in plan.conditions %}
        a.{{ condition.name }} as _window{{ condition.name }},
        {%- endfor %}
        c.*
    {{ cdesk._as_asof_left_join('append_' ~ i ~ '_rows', 'append_' ~ i ~ '_windows', 'c._who = a._who', 'c._ts >= a._ts') }}
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
        _ts > _window_ts
        and (_window_next_ts is null or _ts < _window_next_ts)
        {%- for condition in plan.conditions %}
        and {{ condition.name }} {{ cdesk._as_comparisons()[condition.operator] }} _window{{ condition.name }}
        {%- endfor %}
    {%- if plan.aggregate %}
    group by _window_who, _window_ts
    {%- else %}
    {%- set direction = ' desc' if plan.relationship.startswith('last_') else '' %}
    qualify row_number() over (partition by _window_who, _window_ts order by _ts{{ direction }}, _activity_id{{ direction }}) = 1
    {%- endif %}
),

step_{{ i }} as (
    select
        c.*
        {{- cdesk._as_take(plan) }}
    from {{ previous }} as c
    left join append_{{ i }} as a
        on c._who = a._window_who and c._ts = a._window_ts and c._end_ts > c._ts
)
{%- endmacro %}

{#
    aggregate_before and aggregate_after: running aggregates over the appended rows alone, one row an instant, joined by ASOF. After is before with time
    turned round. The order is by instant only, so that by SQL's default frame all rows of one instant hold the same aggregate, its own rows included;
    it doesn't matter then which of them is joined. Distinct values are counted where they first come up; a list is the beginning (or end) of the customer's whole list, so that it is stored
    once and not once a row.
#}
{% macro _as_running(plan, previous) -%}
{%- set i = plan.index -%}
{%- set after = plan.relationship == 'aggregate_after' -%}
{%- set direction = ' desc' if after else '' -%}
{%- set over = 'over (partition by ' ~ plan['keys'] | join(', ') ~ ' order by _ts' ~ direction ~ ')' -%}
{%- set distinct = plan['values'] | selectattr('function', 'equalto', 'count_distinct') | list -%}
{%- set lists = plan['values'] | selectattr('function', 'equalto', 'list') | list -%}
{%- if distinct -%}
append_{{ i }}_marked as (
    select
        *
        {%- for value in distinct %},
        row_number() over (partition by {{ plan['keys'] | join(', ') }}, {{ value.name }} order by _ts{{ direction }}) as _seen{{ value.name }}
        {%- endfor %}
    from append_{{ i }}_rows
),

{% endif -%}
{%- if lists -%}
append_{{ i }}_lists as (
    select
        {{ plan['keys'] | join(',\n        ') }}
        {%- for value in lists %},
        {{ cdesk._as_list(value.name) }} as {{ value.name }}
        {%- endfor %}
    from append_{{ i }}_rows
    group by {{ plan['keys'] | join(', ') }}
),

{% endif -%}
{%- set ts = plan.stream.columns.ts.column -%}
{%- set windows = namespace(any=false) -%}
append_{{ i }} as (
    select
        {{ plan['keys'] | join(',\n        ') }},
        _ts
        {%- for value in plan['values'] %},
        {% if value.function == ('min' if after else 'max') and value.sql == ts -%}
        {#- The latest of all instants so far is this one. -#}
        _ts as {{ value.name }}
        {%- elif value.function == ('max' if after else 'min') and value.sql == ts -%}
        {%- set windows.any = true -%}
        first_value(_ts) {{ over }} as {{ value.name }}
        {%- elif value.function == 'count' and not value.sql and plan.stored and not after -%}
        _occurrence as {{ value.name }}
        {%- else -%}
        {%- set windows.any = true -%}
        {%- if value.function == 'count_distinct' -%}
        count(case when _seen{{ value.name }} = 1 then {{ value.name }} end)
        {%- elif value.function == 'list' -%}
        count({{ value.name }})
        {%- else -%}
        {{ value.function }}({{ value.name if value.sql else '*' }})
        {%- endif %} {{ over }} as {{ value.name }}
        {%- endif %}
        {%- endfor %}
    from append_{{ i }}_{{ 'marked' if distinct else 'rows' }}
    {%- if plan.stored %}
    {{ 'qualify' if windows.any else 'where' }} _next_ts is null or _next_ts > _ts
    {%- else %}
    qualify lead(_ts) {{ over }} is distinct from _ts
    {%- endif %}
),

step_{{ i }}{{ '_nearest' if lists }} as (
    select
        c.*
        {{- cdesk._as_take(plan, skip='list') }}
        {%- for value in lists %},
        a.{{ value.name }} as _length_{{ i }}{{ value.name }}
        {%- endfor %}
    {{ cdesk._as_asof_left_join(
        previous, 'append_' ~ i, cdesk._as_same(plan, 'c', 'a'), 'c._ts < a._ts' if after else 'c._ts > a._ts'
    ) }}
)
{%- if lists %},

step_{{ i }} as (
    select
        c.*
        {%- for value in lists %}
        {%- set length = 'c._length_' ~ i ~ value.name %},
        case when {{ length }} > 0 then {{ cdesk._as_list_part('a.' ~ value.name, length, after) }} end as {{ value.out }}
        {%- endfor %}
    from step_{{ i }}_nearest as c
    left join append_{{ i }}_lists as a
        on {{ cdesk._as_same(plan, 'c', 'a') }}
)
{%- endif %}
{%- endmacro %}

{# The aggregates of a plan over grouped rows. #}
{% macro _as_aggregates_sql(plan) -%}
    {%- for value in plan['values'] %},
        {% if value.function == 'count_distinct' -%}
        count(distinct {{ value.name }})
        {%- elif value.function == 'list' -%}
        {{ cdesk._as_list(value.name) }}
        {%- else -%}
        {{ value.function }}({{ value.name if value.sql else '*' }})
        {%- endif %} as {{ value.name }}
    {%- endfor -%}
{%- endmacro %}

{# All values of a group that aren't null, in the order of time; null where there are none. #}
{% macro _as_list(name) -%}
    {{ return(adapter.dispatch('_as_list', 'cdesk')(name)) }}
{%- endmacro %}

{% macro default___as_list(name) -%}
    {{ return('list(' ~ name ~ ' order by _ts, _activity_id) filter (where ' ~ name ~ ' is not null)') }}
{%- endmacro %}

{# array_agg leaves nulls out by itself: https://docs.snowflake.com/en/sql-reference/functions/array_agg #}
{% macro snowflake___as_list(name) -%}
    {{ return('case when count(' ~ name ~ ') > 0 then array_agg(' ~ name ~ ') within group (order by _ts, _activity_id) end') }}
{%- endmacro %}

{# The first (or, `from_end`, the last) `length` items of a list. #}
{% macro _as_list_part(list, length, from_end) -%}
    {{ return(adapter.dispatch('_as_list_part', 'cdesk')(list, length, from_end)) }}
{%- endmacro %}

{% macro default___as_list_part(list, length, from_end) -%}
    {{ return('list_slice(' ~ list ~ (', len(' ~ list ~ ') - ' ~ length ~ ' + 1, len(' ~ list ~ '))' if from_end else ', 1, ' ~ length ~ ')')) }}
{%- endmacro %}

{# From position 0, the end left out: https://docs.snowflake.com/en/sql-reference/functions/array_slice #}
{% macro snowflake___as_list_part(list, length, from_end) -%}
    {{ return('array_slice(' ~ list ~ (', array_size(' ~ list ~ ') - ' ~ length ~ ', array_size(' ~ list ~ '))' if from_end else ', 0, ' ~ length ~ ')')) }}
{%- endmacro %}
