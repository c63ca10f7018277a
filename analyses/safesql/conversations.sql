{%- set order_by = cdesk.bind_as('order', 'varchar') -%}
with

responses as (

    {{ cdesk.priced_responses(cdesk.within_days_back('events.ts')) | indent }}

),

by_session as (

    select
        session_id,
        max(project) as project,
        min(ts) as first_answer_at,
        max(ts) as last_answer_at,
        {{ cdesk.usage_sums() }}
    from responses
    group by session_id

),

others as (

    select
        events._session_id as session_id,
        sum(case when events.activity = 'cdesk.user_asked' then 1 else 0 end) as questions,
        sum(case when events.activity = 'cdesk.tool_called' then 1 else 0 end) as tool_calls,
        min(case when events.activity = 'cdesk.user_asked' then events.ts end) as first_asked_at,
        max(case
            when events.activity = 'cdesk.session_started'
                then {{ cdesk.json_string('events._feature_json', 'title') }}
        end) as title
    from {{ ref('events_live') }} as events
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity in ('cdesk.user_asked', 'cdesk.tool_called', 'cdesk.session_started')
        and events.ts >= {{ cdesk.time_back('day', 'days_back') }}
    group by events._session_id

),

conversations as (

    select
        by_session.session_id,
        others.title,
        by_session.project,
        least(
            by_session.first_answer_at,
            coalesce(others.first_asked_at, by_session.first_answer_at)
        ) as started_at,
        {{ dbt.datediff(
            'least(by_session.first_answer_at, '
            ~ 'coalesce(others.first_asked_at, by_session.first_answer_at))',
            'by_session.last_answer_at', 'second'
        ) }} / 60.0 as duration_minutes,
        coalesce(others.questions, 0) as turns,
        by_session.responses,
        coalesce(others.tool_calls, 0) as tool_calls,
        by_session.total_tokens,
        by_session.output_tokens,
        by_session.cost_usd,
        by_session.unpriced_responses
    from by_session
    left join others on by_session.session_id = others.session_id

)

select * from conversations
{{ cdesk.first_rows(
    "case " ~ order_by ~ " when 'longest' then duration_minutes when 'costliest' then cost_usd"
    ~ " when 'most_tools' then cast(tool_calls as double) end desc nulls last,"
    ~ " started_at desc, session_id"
) }}
