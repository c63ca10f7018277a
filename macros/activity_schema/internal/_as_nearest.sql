{#
    The first row of a span with a beginning, or the last one of a span with an end: the nearest
    instant, by an ASOF join against one row an instant. Whether that row keeps to the span's other
    limit is checked afterwards.

    By the stream's own numbering an instant's last row is known from itself: the next one is later.
    Its first row isn't; but instants of several rows are few, so the last row is joined, and those
    that have an earlier one are looked up in a small table, `t`. Where the limit is a neighbour
    that doesn't exist, the row is the customer's first or last one, `e`.
#}
{% macro _as_nearest(plan, previous) -%}
{%- set i = plan.index -%}
{%- set last = plan.pick == 'last' -%}
{%- set bound = plan.high if last else plan.low -%}
{%- set other = plan.low if last else plan.high -%}
{%- set tied = plan.stored and not last -%}
append_{{ i }} as (
    select *
    from append_{{ i }}_rows
    {%- if plan.stored %}
    where _next_ts is null or _next_ts > _ts
    {%- else %}
    qualify {{ 'lead' if last else 'lag' }}(_ts) {{ cdesk._as_over(plan) }} is distinct from _ts
    {%- endif %}
),

{% if tied -%}
append_{{ i }}_tied as (
    select *
    from append_{{ i }}_rows
    where _next_ts = _ts
    qualify row_number() over (partition by _who, _ts order by _activity_id) = 1
),

{% endif -%}
{%- if bound.open -%}
append_{{ i }}_edge as (
    select *
    from append_{{ i }}_rows
    {{ cdesk._as_extreme_row(plan, last) }}
),

{% endif -%}
{{ cdesk._as_asof_step(plan, previous, bound, plain=not tied and not bound.open, other=other) }}
{%- if tied or bound.open %},

step_{{ i }} as (
    select
        c.*
        {%- for value in plan['values'] %},
        case
            {%- if bound.open %}
            when {{ bound.sql }} is null
                then {{ cdesk._as_checked(other, 'e._ts', 'e.' ~ value.name) }}
            {%- endif %}
            {%- if other %}
            when not {{ cdesk._as_bound_sql(other, 'c._ts_' ~ i) }} then null
            {%- endif %}
            {%- if tied %}
            when t._who is not null then t.{{ value.name }}
            {%- endif %}
            else c._near_{{ i }}{{ value.name }}
        end as {{ value.out }}
        {%- endfor %}
    from step_{{ i }}_nearest as c
    {%- if tied %}
    left join append_{{ i }}_tied as t
        on c._who = t._who and c._ts_{{ i }} = t._ts
    {%- endif %}
    {%- if bound.open %}
    left join append_{{ i }}_edge as e
        on {{ cdesk._as_same(plan, 'c', 'e') }} and {{ bound.sql }} is null
    {%- endif %}
)
{%- endif %}
{%- endmacro %}

{# The ASOF join: `step_<i>`, or where it isn't `plain` `step_<i>_nearest` with the raw values. #}
{% macro _as_asof_step(plan, previous, bound, plain, other) -%}
{%- set i = plan.index -%}
{%- set match = cdesk._as_match(bound) -%}
{%- if not match.column -%}
{{ cdesk._as_limit(plan, previous, bound) }}
{% set previous = 'step_' ~ i ~ '_limit' -%}
{%- endif -%}
step_{{ i }}{{ '' if plain else '_nearest' }} as (
    select
        c.*
        {%- if plain %}
        {{- cdesk._as_take(plan, cdesk._as_bound_sql(other, 'a._ts') if other else none) }}
        {%- else %},
        a._ts as _ts_{{ i }}
        {%- for value in plan['values'] %},
        a.{{ value.name }} as _near_{{ i }}{{ value.name }}
        {%- endfor %}
        {%- endif %}
    {{ cdesk._as_asof_left_join(
        previous, 'append_' ~ i, cdesk._as_same(plan, 'c', 'a'),
        (match.column or 'c._limit_' ~ i) ~ match.sign ~ 'a._ts',
    ) }}
)
{%- endmacro %}

{# The CTE of rows with their limit, where it is computed: ASOF matches columns alone. #}
{% macro _as_limit(plan, previous, bound) -%}
step_{{ plan.index }}_limit as (
    select
        c.*,
        {{ bound.sql }} as _limit_{{ plan.index }}
    from {{ previous }} as c
),
{% endmacro %}

{# What an ASOF join matches by: a column of `c`, or none where the limit is computed. #}
{% macro _as_match(bound) -%}
    {% set sign = ('>' if bound.side == 'high' else '<') ~ ('=' if bound.inclusive else '') %}
    {% set column = bound.sql if modules.re.match('c[.][a-z0-9_]+\\Z', bound.sql) else none %}
    {{ return({'sign': ' ' ~ sign ~ ' ', 'column': column}) }}
{%- endmacro %}

{% macro _as_checked(bound, ts, value) -%}
    {% if not bound %}{{ return(value) }}{% endif %}
    {{ return('case when ' ~ cdesk._as_bound_sql(bound, ts) ~ ' then ' ~ value ~ ' end') }}
{%- endmacro %}
