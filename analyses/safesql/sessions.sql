with

sessions as (

    select
        _session_id as session_id,
        min({{ cdesk.recorded_at() }}) as first_activity_at,
        max({{ cdesk.recorded_at() }}) as last_activity_at,
        {{ dbt.datediff(
            'min(' ~ cdesk.recorded_at() ~ ')', 'max(' ~ cdesk.recorded_at() ~ ')', 'second'
        ) }} as duration_seconds,
        count(*) as activity_count,
        sum(case when activity = 'cdesk.user_asked' then 1 else 0 end) as question_count,
        sum(case when activity = 'cdesk.claude_responded' then 1 else 0 end) as answer_count,
        sum(case when activity = 'cdesk.tool_called' then 1 else 0 end) as tool_call_count,
        sum(case when activity = 'cdesk.insight_recorded' then 1 else 0 end) as insight_count,
        sum(case when activity = 'cdesk.error_encountered' then 1 else 0 end) as error_count,
        {{ cdesk.basis_of_rows() }} as basis
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and ts >= {{ cdesk.time_back('day', 'days_back') }}
        and _session_id is not null
    group by _session_id

)

select * from sessions
order by first_activity_at desc, session_id asc
