{#- What a review shows beside token_usage: one row per figure of a section. -#}
with

events as (

    select
        events.activity,
        events.ts,
        events._session_id as session_id,
        events._feature_json
    from {{ ref('events_live') }} as events
    where
        events.customer = {{ cdesk.bind('customer') }}
        and {{ cdesk.within_dates('events.ts') }}

),

responses as (

    {{ cdesk.priced_responses(cdesk.within_dates('events.ts')) | indent }}

),

sessions as (

    select
        session_id,
        max(project) as project,
        {{ dbt.datediff('min(ts)', 'max(ts)', 'second') }} / 60.0 as minutes
    from responses
    group by session_id

),

totals as (

    select
        activity,
        count(*) as rows_of_activity,
        sum({{ cdesk.json_integer('_feature_json', 'lines_added') }}) as lines_added
    from events
    group by activity

),

tools as (

    select
        coalesce({{ cdesk.json_string('_feature_json', 'tool') }}, 'unknown') as tool,
        count(*) as calls
    from events
    where activity = 'cdesk.tool_called'
    group by coalesce({{ cdesk.json_string('_feature_json', 'tool') }}, 'unknown')

),

figures as (

    select
        'activity' as section,
        activity as name,
        cast(rows_of_activity as double) as figure
    from totals
    union all
    select
        'lines' as section,
        activity as name,
        cast(coalesce(lines_added, 0) as double) as figure
    from totals
    where activity = 'cdesk.file_written'
    union all
    select
        'tool' as section,
        tool as name,
        cast(calls as double) as figure
    from tools
    union all
    select
        'conversation' as section,
        project as name,
        max(minutes) as figure
    from sessions
    group by project
    union all
    select
        'conversations' as section,
        'all' as name,
        cast(count(*) as double) as figure
    from sessions
    union all
    select
        'caching' as section,
        'saved_usd' as name,
        sum(uncached_usd) - sum(cost_usd) as figure
    from responses
    union all
    select
        'caching' as section,
        'hit_rate' as name,
        sum(cache_read_tokens) * 1.0
        / nullif(sum(input_tokens + cache_read_tokens + cache_creation_tokens), 0) as figure
    from responses

)

select * from figures
where figure is not null
order by section asc, figure desc, name asc
