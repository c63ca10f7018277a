{#- The figures of the `obs_` models by day in one long table: metric, what it is of, value. -#}
{%- set singles = {
    'obs_turn_latency': ['latency_p50_ms', 'latency_p95_ms', 'latency_p99_ms'],
    'obs_ingestion_lag': ['lag_p50_seconds', 'lag_p95_seconds', 'lag_p99_seconds'],
    'obs_card_ready': ['card_count', 'ready_p50_seconds', 'ready_p95_seconds', 'ready_p99_seconds'],
    'obs_adoption': [
        'activity_count', 'customer_count', 'session_count', 'question_count', 'tool_call_count',
        'insight_count',
    ],
    'obs_provenance_coverage': ['provenance_coverage'],
    'obs_quarantine': ['line_count', 'quarantined_count'],
} -%}
{%- set costs = ['query_count', 'failed_count', 'elapsed_seconds', 'byte_count', 'credits'] -%}
{%- set by_tool = [
    'call_count', 'error_count', 'latency_p50_ms', 'latency_p95_ms', 'latency_p99_ms',
] -%}
with

{% for model in singles %}
{{ model }} as (

    select * from {{ ref(model) }}

),

{% endfor %}
obs_query_costs as (

    select
        {% for column in costs %}
        sum({{ column }}) as {{ column }},
        {% endfor %}
        day
    from {{ ref('obs_query_costs') }}
    group by day

),

obs_tool_latency as (

    select * from {{ ref('obs_tool_latency') }}

),

metrics as (

    {% for model, columns in singles.items() %}
    {% for column in columns %}
    select
        day,
        '{{ model[4:] }}.{{ column }}' as metric,
        '' as of_what,
        cast({{ column }} as double) as metric_value
    from {{ model }}
    union all
    {% endfor %}
    {% endfor %}
    {% for column in costs %}
    select
        day,
        'query_costs.{{ column }}' as metric,
        '' as of_what,
        cast({{ column }} as double) as metric_value
    from obs_query_costs
    union all
    {% endfor %}
    {% for column in by_tool %}
    select
        day,
        'tool_latency.{{ column }}' as metric,
        tool as of_what,
        cast({{ column }} as double) as metric_value
    from obs_tool_latency
    union all
    {% endfor %}
    select
        day,
        'errors.error_count' as metric,
        component as of_what,
        cast(sum(error_count) as double) as metric_value
    from {{ ref('obs_errors') }}
    group by day, component
    union all
    select
        cast({{ cdesk.local_day('recorded_at') }} as date) as day,
        'insights.insight_count' as metric,
        case when verified then 'verified' else 'unverified' end as of_what,
        cast(count(*) as double) as metric_value
    from {{ ref('insight_atoms') }}
    group by
        {{ cdesk.local_day('recorded_at') }},
        case when verified then 'verified' else 'unverified' end
    union all
    select
        cast({{ cdesk.local_day('ts') }} as date) as day,
        'models.call_count' as metric,
        coalesce(model, 'unknown') as of_what,
        cast(count(*) as double) as metric_value
    from {{ ref('vw_llm_events') }}
    where activity in ('cdesk.claude_responded', 'cdesk.llm_called')
    group by {{ cdesk.local_day('ts') }}, coalesce(model, 'unknown')
    union all
    select
        cast({{ cdesk.local_day('ts') }} as date) as day,
        'projects.question_count' as metric,
        {{ cdesk.json_string('_feature_json', 'project') }} as of_what,
        cast(count(*) as double) as metric_value
    from {{ ref('events') }}
    where
        activity = 'cdesk.user_asked'
        and {{ cdesk.json_string('_feature_json', 'project') }} is not null
    group by
        {{ cdesk.local_day('ts') }},
        {{ cdesk.json_string('_feature_json', 'project') }}

),

asked as (

    select *
    from metrics
    where
        metric_value is not null
        and day >= cast({{ cdesk.time_back('day', 'days_back') }} as date)

)

select * from asked
order by day desc, metric asc, of_what asc
