with

calls as (

    select
        coalesce({{ cdesk.json_string('events._feature_json', 'server') }}, 'built in') as server,
        coalesce({{ cdesk.json_string('events._feature_json', 'tool') }}, 'unknown') as tool,
        {{ cdesk.json_string('events._feature_json', 'outcome') }} as outcome,
        {{ cdesk.json_number('events._feature_json', 'latency_ms') }} as latency_ms,
        {{ cdesk.json_integer('events._feature_json', 'output_length') }} as output_length,
        events.ts
    from ({{ cdesk.usage_events('tool_called', cdesk.within_days_back('events.ts')) }}) as events
    where events._source_system != 'claude_desktop'

),

tools as (

    select
        server,
        tool,
        count(*) as calls,
        sum(case when outcome = 'error' then 1 else 0 end) as errors,
        sum(case when outcome = 'error' then 1 else 0 end) * 1.0 / count(*) as error_rate,
        {{ cdesk.percentile(0.5, 'latency_ms') }} as latency_p50_ms,
        {{ cdesk.percentile(0.95, 'latency_ms') }} as latency_p95_ms,
        sum(output_length) as output_characters,
        max(ts) as last_called_at
    from calls
    group by server, tool

)

select * from tools
order by calls desc, server asc, tool asc
