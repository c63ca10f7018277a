{#
    An aggregate with one limit: running aggregates over the appended rows alone, one row an
    instant, joined by ASOF. After is before with time turned round. The order is by instant only,
    so that by SQL's default frame all rows of one instant hold the same aggregate, its own rows
    included; it doesn't matter then which of them is joined.

    Distinct values are counted where they first come up. A list is the beginning (or end) of the
    customer's whole list, which is stored once and not once a row.

    A frame that ends with its own row instead of its instant takes two thirds of the time on
    DuckDB, and holds the instant at the last of its rows: by the one sort that all window functions
    of one order share there. Of other engines nobody knows that, see `_as_frame`.
#}
{% macro _as_running(plan, previous) -%}
{%- set i = plan.index -%}
{%- set after = plan.low is not none -%}
{%- set bound = plan.low if after else plan.high -%}
{%- set values = plan['values'] | rejectattr('function', 'equalto', 'ratio') | list -%}
{%- set lists = values | selectattr('function', 'in', cdesk._as_list_functions()) | list -%}
{%- set seen = ['count_distinct', 'list_distinct'] -%}
{%- set distinct = values | selectattr('function', 'in', seen) | list -%}
{%- if distinct -%}
{{ cdesk._as_first_seen(plan, distinct, after) }},

{% endif -%}
{%- set rows = 'append_' ~ i ~ ('_marked' if distinct else '_rows') -%}
{{ cdesk._as_running_rows(plan, values, rows, after) }},

{% set match = cdesk._as_match(bound) -%}
{%- if not match.column -%}
{{ cdesk._as_limit(plan, previous, bound) }}
{% set previous = 'step_' ~ i ~ '_limit' -%}
{%- endif -%}
step_{{ i }}{{ '_nearest' if lists }} as (
    select
        c.*
        {{- cdesk._as_take(plan, skip=cdesk._as_list_functions()) }}
        {%- for value in lists %},
        a.{{ value.name }} as _length_{{ i }}{{ value.name }}
        {%- endfor %}
    {{ cdesk._as_asof_left_join(
        previous, 'append_' ~ i, cdesk._as_same(plan, 'c', 'a'),
        (match.column or 'c._limit_' ~ i) ~ match.sign ~ 'a._ts',
    ) }}
)
{%- if lists %},

{{ cdesk._as_lists_step(plan, lists, rows, after) }}
{%- endif %}
{%- endmacro %}

{# One row an instant, with the aggregates up to it (or from it on). #}
{% macro _as_running_rows(plan, values, rows, after) -%}
{%- set direction = ' desc' if after else '' -%}
{%- set partition = 'partition by ' ~ plan['keys'] | join(', ') -%}
{%- set extremes = values | selectattr('function', 'in', ['first_value', 'last_value']) | list -%}
{%- set ordered = 'order by _ts' ~ direction ~ ', _activity_id' ~ direction -%}
{%- set ts = plan.stream.columns.ts.column -%}
{%- set known = namespace(all=plan.stored and not after) -%}
{%- for value in values if not (value.function == 'count' and not value.sql)
    and not (value.function == 'max' and value.sql == ts) -%}
    {%- set known.all = false -%}
{%- endfor -%}
{#- The stream's own numbers need no window at all. -#}
{%- set frame = '' if known.all else cdesk._as_frame() -%}
{%- set order = ordered if frame and extremes else 'order by _ts' ~ direction -%}
{%- set over = 'over (' ~ partition ~ ' ' ~ order ~ frame ~ ')' -%}
{%- set windows = namespace(any=false) -%}
append_{{ plan.index }} as (
    select
        {{ plan['keys'] | join(',\n        ') }},
        _ts
        {%- for value in values %},
        {% if value.function == ('min' if after else 'max') and value.sql == ts -%}
        {#- The latest of all instants so far is this one. -#}
        _ts as {{ value.name }}
        {%- elif value.function == 'count' and not value.sql and frame -%}
        row_number() over ({{ partition }} {{ order }}) as {{ value.name }}
        {%- elif value.function == 'count' and not value.sql and plan.stored and not after -%}
        _occurrence as {{ value.name }}
        {%- else -%}
        {%- set windows.any = true -%}
        {{ cdesk._as_running_value(value, over, partition ~ ' ' ~ ordered, after, ts) }} as
            {{ value.name }}
        {%- endif %}
        {%- endfor %}
    from {{ rows }}
    {%- if frame or extremes %}
    qualify lead(_ts) over ({{ partition }} {{ order if frame else ordered }}) is distinct from _ts
    {%- elif plan.stored %}
    {{ 'qualify' if windows.any else 'where' }} _next_ts is null or _next_ts > _ts
    {%- else %}
    qualify lead(_ts) {{ over }} is distinct from _ts
    {%- endif %}
)
{%- endmacro %}

{% macro _as_running_value(value, over, ordered, after, ts) -%}
    {% set name = value.name %}
    {% if value.function == ('max' if after else 'min') and value.sql == ts %}
        {{ return('first_value(_ts) ' ~ over) }}
    {% elif value.function == 'count_distinct' or value.function == 'list_distinct' %}
        {{ return('count(case when _seen' ~ name ~ ' = 1 then ' ~ name ~ ' end) ' ~ over) }}
    {% elif value.function in cdesk._as_list_functions() %}
        {{ return('count(' ~ name ~ ') ' ~ over) }}
    {% elif value.function in ['median', 'percentile'] %}
        {{ return(cdesk._as_percentile(name, value.share, over)) }}
    {% elif value.function in ['first_value', 'last_value'] %}
        {% set first = (value.function == 'first_value') != after %}
        {% set function = 'first_value' if first else 'last_value' %}
        {% set frame = ' rows between unbounded preceding and current row' %}
        {{ return(cdesk._as_not_null(function, name) ~ ' over (' ~ ordered ~ frame ~ ')') }}
    {% endif %}
    {{ return(cdesk._as_plain_aggregate(value, over)) }}
{%- endmacro %}

{# What limits a window to the rows so far; without it, by SQL's default, to the instants so far. #}
{% macro _as_frame() -%}
    {{ return(adapter.dispatch('_as_frame', 'cdesk')()) }}
{%- endmacro %}

{% macro default___as_frame() -%}
    {{ return(' rows unbounded preceding') }}
{%- endmacro %}

{% macro snowflake___as_frame() -%}
    {{ return('') }}
{%- endmacro %}

{# A window function that passes over nulls. #}
{% macro _as_not_null(function, name) -%}
    {{ return(adapter.dispatch('_as_not_null', 'cdesk')(function, name)) }}
{%- endmacro %}

{% macro default___as_not_null(function, name) -%}
    {{ return(function ~ '(' ~ name ~ ' ignore nulls)') }}
{%- endmacro %}

{% macro snowflake___as_not_null(function, name) -%}
    {{ return(function ~ '(' ~ name ~ ') ignore nulls') }}
{%- endmacro %}

{# Marks the row at which each value first comes up, looking from where the aggregate begins. #}
{% macro _as_first_seen(plan, distinct, after) -%}
append_{{ plan.index }}_marked as (
    select
        *
        {%- for value in distinct %},
        row_number() over (
            partition by {{ plan['keys'] | join(', ') }}, {{ value.name }}
            order by _ts{{ ' desc' if after else '' }}, _activity_id{{ ' desc' if after else '' }}
        ) as _seen{{ value.name }}
        {%- endfor %}
    from append_{{ plan.index }}_rows
)
{%- endmacro %}

{# Cuts each cohort row's part out of the customer's list. #}
{% macro _as_lists_step(plan, lists, rows, after) -%}
{%- set i = plan.index -%}
append_{{ i }}_lists as (
    select
        {{ plan['keys'] | join(',\n        ') }}
        {%- for value in lists %},
        {{ cdesk._as_whole_list(value, cdesk._as_list_order(plan)) }} as {{ value.name }}
        {%- endfor %}
    from {{ rows }}
    group by {{ plan['keys'] | join(', ') }}
),

step_{{ i }} as (
    select
        c.*
        {%- for value in lists %}
        {%- set length = 'c._length_' ~ i ~ value.name %}
        {%- set part = cdesk._as_list_part('a.' ~ value.name, length, after) %},
        case when {{ length }} > 0
            then {{ cdesk._as_list_end(value, part, sort=value.function == 'list_distinct') }}
        end as {{ value.out }}
        {%- endfor %}
    from step_{{ i }}_nearest as c
    left join append_{{ i }}_lists as a
        on {{ cdesk._as_same(plan, 'c', 'a') }}
)
{%- endmacro %}

{% macro _as_whole_list(value, order) -%}
    {% if value.function == 'list_distinct' %}
        {% set name = value.name %}
        {{ return(cdesk._as_list('case when _seen' ~ name ~ ' = 1 then ' ~ name ~ ' end', order)) }}
    {% endif %}
    {{ return(cdesk._as_list(value.name, order)) }}
{%- endmacro %}

{# The aggregates that run over a window that grows. #}
{% macro _as_running_functions() -%}
    {{ return(adapter.dispatch('_as_running_functions', 'cdesk')()) }}
{%- endmacro %}

{% macro default___as_running_functions() -%}
    {{ return(cdesk._as_aggregates().keys() | list + ['ratio']) }}
{%- endmacro %}

{# No growing frames: https://docs.snowflake.com/en/sql-reference/functions-window #}
{% macro snowflake___as_running_functions() -%}
    {% set none_of = ['median', 'percentile', 'approx_count_distinct'] %}
    {{ return(cdesk._as_aggregates().keys() | reject('in', none_of) | list + ['ratio']) }}
{%- endmacro %}
