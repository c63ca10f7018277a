{# The columns that a time spine has. #}
{% macro _as_spine_stream() -%}
    {{ return({'outputs': true, 'columns': {
        'activity_id': {'column': 'activity_id', 'type': 'string'},
        'customer': {'column': 'customer', 'type': 'string'},
        'ts': {'column': 'ts', 'type': 'timestamp'},
        'ends_at': {'column': '_next_ts', 'type': 'timestamp'},
    }}) }}
{%- endmacro %}

{#
    The rows of a time spine. Periods are counted in the time zone, from the first start on. Hours
    are counted in UTC, where none is left out or repeated when clocks change.
#}
{% macro _as_spine_ctes(plan) -%}
{%- set spine = plan.cohort -%}
{%- set columns = plan.stream.columns -%}
{%- set text = dbt.type_string() -%}
{%- set name = spine.activity.name if spine.activity else '*' -%}
{%- set filters = spine.activity.filters if spine.activity else [] -%}
{%- set filters = cdesk._as_filters_sql('time_spine', filters, plan.stream) -%}
{%- set rows = {'stream': plan.stream, 'scope': plan.scope, 'filters': filters} -%}
{%- set conditions = cdesk._as_row_conditions(name, rows) + cdesk._as_known(plan) -%}
named_customers as (
    select
        {{ plan.who }} as _as_name,
        min({{ columns.ts.column }}) as first_ts,
        max({{ columns.ts.column }}) as last_ts
    from {{ plan.stream.relation }}
    where
        {{ conditions | join('\n        and ') }}
    group by 1
),

cohort_customers as {{ cdesk._as_once() }}(
    select
        *,
        {{ cdesk._as_customer_number() }} as _as_number
    from named_customers
),

{{ cdesk._as_spine_starts(spine) }},

spine_rows as (
    select
        cohort_customers.{{ '_as_number' if plan.numbered else '_as_name' }} as _who,
        spine._ts,
        spine._next_ts,
        {%- if plan.needs_previous %}
        spine._previous_ts,
        {%- endif %}
        {{ dbt.concat([
            'cast(cohort_customers._as_name as ' ~ text ~ ')', "'@'",
            'cast(spine._ts as ' ~ text ~ ')',
        ]) }} as activity_id,
        cohort_customers._as_name as customer,
        spine._ts as ts
    from cohort_customers
    cross join spine
    {%- if spine.activity %}
    where spine._next_ts > cohort_customers.first_ts
    {%- endif %}
),

cohort_rows as (
    select
        _who,
        _ts,
        _next_ts,
        {%- if plan.needs_previous %}
        _previous_ts,
        {%- endif %}
        activity_id as _activity_id
        {%- if plan.chosen %},
        {{ plan.chosen | join(' and ') }} as _chosen
        {%- endif %}
        {%- for value in plan['values'] %},
        {{ value.sql }} as {{ value.name }}
        {%- endfor %}
    from spine_rows
),
{% endmacro %}

{# `spine`: each period's start, the next one's and the previous one's, in UTC. #}
{% macro _as_spine_starts(spine) -%}
{%- set hourly = spine.period == 'hour' -%}
{%- set zone = spine.time_zone -%}
{%- set inclusive = spine.until in ['now', 'maximum'] -%}
{%- set since -%}
    {%- if spine.since == 'minimum' -%}
        {{ cdesk._as_from_utc('(select min(first_ts) from named_customers)', zone) }}
    {%- else -%}
        {{ cdesk._as_timestamp(spine.since) }}
    {%- endif -%}
{%- endset -%}
{%- set until -%}
    {%- if spine.until == 'maximum' -%}
        {{ cdesk._as_from_utc('(select max(last_ts) from named_customers)', zone) }}
    {%- elif spine.until == 'now' -%}
        {{ cdesk._as_from_utc(cdesk.cdesk_now() | trim, zone) }}
    {%- else -%}
        {{ cdesk._as_timestamp(spine.until) }}
    {%- endif -%}
{%- endset -%}
{% set first = dbt.date_trunc(spine.period, 'since_at') | trim -%}
spine_ends as (
    select
        {{ cdesk._as_to_utc(since, zone) if hourly else since }} as since_at,
        {{ cdesk._as_to_utc(until, zone) if hourly else until }} as until_at
),

spine_firsts as (
    select
        since_at,
        until_at,
        {{ first }} as first_at,
        {{ dbt.datediff(first, 'until_at', spine.period) }} as last_number
    from spine_ends
),

spine_numbers as (
    {{ cdesk._as_numbers('spine_firsts', 'last_number') }}
),

spine_starts as (
    select
        {{ dbt.dateadd(spine.period, 'number', 'first_at') }} as start_at,
        {{ dbt.dateadd(spine.period, '(number + 1)', 'first_at') }} as next_at,
        {{ dbt.dateadd(spine.period, '(number - 1)', 'first_at') }} as previous_at,
        since_at,
        until_at
    from spine_numbers
),

spine as (
    select
        {{ 'start_at' if hourly else cdesk._as_to_utc('start_at', zone) }} as _ts,
        {{ 'next_at' if hourly else cdesk._as_to_utc('next_at', zone) }} as _next_ts,
        {{ 'previous_at' if hourly else cdesk._as_to_utc('previous_at', zone) }} as _previous_ts
    from spine_starts
    where
        {%- if spine.since == 'minimum' %}
        start_at <= until_at
        {%- else %}
        start_at >= since_at
        and start_at <{{ '=' if inclusive }} until_at
        {%- endif %}
        {%- if spine.since == 'minimum' and not inclusive %}
        and start_at < until_at
        {%- endif %}
)
{%- endmacro %}

{# A relation's one row for each number from 0 to the one that `last` names. #}
{% macro _as_numbers(relation, last) -%}
    {{ return(adapter.dispatch('_as_numbers', 'cdesk')(relation, last)) }}
{%- endmacro %}

{% macro default___as_numbers(relation, last) -%}
    select
        spine_firsts.*,
        cast(numbers.number as integer) as number
    from {{ relation }} as spine_firsts
    cross join range(0, (select {{ last }} + 1 from {{ relation }})) as numbers (number)
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/array_generate_range #}
{% macro snowflake___as_numbers(relation, last) -%}
    select
        spine_firsts.*,
        cast(numbers.value as integer) as number
    from {{ relation }} as spine_firsts,
        lateral flatten(input => array_generate_range(0, spine_firsts.{{ last }} + 1)) as numbers
{%- endmacro %}

{# A UTC timestamp as the time of a zone. #}
{% macro _as_from_utc(timestamp, zone) -%}
    {% if zone == 'UTC' %}{{ return(timestamp) }}{% endif %}
    {{ return(cdesk._as_in_zone(timestamp, 'UTC', zone)) }}
{%- endmacro %}

{# A zone's time as the UTC timestamp that it is. #}
{% macro _as_to_utc(timestamp, zone) -%}
    {% if zone == 'UTC' %}{{ return(timestamp) }}{% endif %}
    {{ return(cdesk._as_in_zone(timestamp, zone, 'UTC')) }}
{%- endmacro %}

{% macro _as_in_zone(timestamp, from_zone, to_zone) -%}
    {{ return(adapter.dispatch('_as_in_zone', 'cdesk')(timestamp, from_zone, to_zone)) }}
{%- endmacro %}

{% macro default___as_in_zone(timestamp, from_zone, to_zone) -%}
    {{ return("timezone('" ~ to_zone ~ "', timezone('" ~ from_zone ~ "', " ~ timestamp ~ '))') }}
{%- endmacro %}

{% macro snowflake___as_in_zone(timestamp, from_zone, to_zone) -%}
    {{ return("convert_timezone('" ~ from_zone ~ "', '" ~ to_zone ~ "', " ~ timestamp ~ ')') }}
{%- endmacro %}
