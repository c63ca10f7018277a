{#
    A cohort of instants instead of activities: one row for every customer and every start of a period at or after `since` and before `until`.
    Customers are all of the stream's, or, with `activity`, those who did it, from the period of their first time on.

    Its columns are activity_id (customer and instant), customer and ts; a row with only an anonymous customer stands under that name. A period's
    window (…_in_between) always ends with the period.
#}
{% macro time_spine(period, since, until, activity=none) -%}
    {% do cdesk._as_check_one_of('time_spine', 'period', period, ['hour', 'day', 'week', 'month', 'quarter', 'year']) %}
    {% do cdesk._as_check_timestamp('time_spine', 'since', since) %}
    {% do cdesk._as_check_timestamp('time_spine', 'until', until) %}
    {% set activity = activity if activity is none or activity is mapping else cdesk.activity(activity) %}
    {% if activity is not none and (activity.kind != 'activity' or activity.occurrence != 'all') %}
        {% do cdesk._as_raise('time_spine', 'activity', activity, "a name, or cdesk.activity(…) with occurrence 'all'") %}
    {% endif %}
    {% set starts = cdesk._as_period_starts(period, since, until) %}
    {% if starts | length < 2 %}
        {% do cdesk._as_raise('time_spine', 'since and until', since ~ ' to ' ~ until, 'a span in which at least one ' ~ period ~ ' begins') %}
    {% endif %}
    {{ return({'kind': 'time_spine', 'period': period, 'starts': starts, 'activity': activity, 'occurrence': 'all'}) }}
{%- endmacro %}

{# The starts of periods in [since, until), and the one after the last, as text. Weeks begin on Monday. #}
{% macro _as_period_starts(period, since, until) -%}
    {% set parse = modules.datetime.datetime.fromisoformat %}
    {% set low = parse(since) %}
    {% set high = parse(until) %}
    {% set months = {'month': 1, 'quarter': 3, 'year': 12}.get(period) %}
    {% set at = namespace(value=low.replace(minute=0, second=0, microsecond=0)) %}
    {% if period != 'hour' %}{% set at.value = at.value.replace(hour=0) %}{% endif %}
    {% if period == 'week' %}{% set at.value = at.value - modules.datetime.timedelta(days=low.weekday()) %}{% endif %}
    {% if months %}{% set at.value = at.value.replace(day=1, month=(low.month - 1) // months * months + 1) %}{% endif %}
    {% set starts = [] %}
    {% set state = namespace(done=false) %}
    {# Jinja has no while: at most 10,000 periods, the limit that is named below. #}
    {% for _ in range(10003) if not state.done %}
        {% if state.done %}
        {% else %}
            {% if at.value >= low %}{% do starts.append(at.value.strftime('%Y-%m-%d %H:%M:%S')) %}{% endif %}
            {% if at.value >= high %}{% set state.done = true %}{% endif %}
            {% if months %}
                {% set month = at.value.month - 1 + months %}
                {% set at.value = at.value.replace(year=at.value.year + month // 12, month=month % 12 + 1) %}
            {% else %}
                {% set at.value = at.value + modules.datetime.timedelta(hours={'hour': 1, 'day': 24, 'week': 168}[period]) %}
            {% endif %}
        {% endif %}
    {% endfor %}
    {% if not state.done %}
        {% do cdesk._as_raise('time_spine', 'since and until', since ~ ' to ' ~ until, 'a span of at most 10,000 periods') %}
    {% endif %}
    {{ return(starts) }}
{%- endmacro %}

{% macro _as_spine_ctes(plan) -%}
{%- set cohort = plan.cohort -%}
{%- set columns = plan.stream.columns -%}
{%- set filters = cdesk._as_filters_sql('time_spine', cohort.activity.filters, plan.stream) if cohort.activity else [] -%}
spine as (
    {%- for start in cohort.starts[:-1] %}
    select {{ cdesk._as_timestamp(start) }} as _ts, {{ cdesk._as_timestamp(cohort.starts[loop.index]) }} as _next_ts
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

named_customers as (
    select
        {{ plan.who }} as _as_name,
        min({{ columns.ts.column }}) as first_ts
    from {{ plan.stream.relation }}
    where
        {{ plan.who }} is not null
        {%- if cohort.activity %}
        and {{ cdesk._as_row_conditions(cohort.activity.name, {'stream': plan.stream, 'scope': plan.scope, 'filters': filters}) | join('\n        and ') }}
        {%- endif %}
    group by 1
),

cohort_customers as (
    select
        *,
        row_number() over (order by _as_name) as _as_number
    from named_customers
),

spine_rows as (
    select
        cohort_customers.{{ '_as_number' if plan.numbered else '_as_name' }} as _who,
        spine._ts,
        spine._next_ts,
        {{ dbt.concat(['cohort_customers._as_name', "'@'", 'cast(spine._ts as ' ~ dbt.type_string() ~ ')']) }} as activity_id,
        cohort_customers._as_name as customer,
        spine._ts as ts
    from cohort_customers
    cross join spine
    {%- if cohort.activity %}
    where spine._next_ts > cohort_customers.first_ts
    {%- endif %}
),

cohort_rows as (
    select
        *,
        activity_id as _activity_id
        {%- for value in plan['values'] %},
        {{ value.sql }} as {{ value.name }}
        {%- endfor %}
    from spine_rows
),
{% endmacro %}
