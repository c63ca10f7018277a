with

responses as (

    {{ cdesk.priced_responses(cdesk.within_days_back('events.ts')) | indent }}

),

questions as (

    select
        coalesce({{ cdesk.json_string('events._feature_json', 'project') }}, 'unknown') as project,
        count(*) as questions
    from ({{ cdesk.usage_events('user_asked', cdesk.within_days_back('events.ts')) }}) as events
    group by coalesce({{ cdesk.json_string('events._feature_json', 'project') }}, 'unknown')

),

by_project as (

    select
        project,
        {{ cdesk.usage_sums() }},
        count(distinct session_id) as conversations,
        count(distinct cast({{ cdesk.to_local('ts') }} as date)) as active_days,
        min(ts) as first_at,
        max(ts) as last_at
    from responses
    group by project

),

projects as (

    select
        by_project.project,
        by_project.conversations,
        coalesce(questions.questions, 0) as questions,
        by_project.responses,
        by_project.active_days,
        by_project.input_tokens,
        by_project.output_tokens,
        by_project.cache_read_tokens,
        by_project.cache_creation_tokens,
        by_project.total_tokens,
        by_project.cost_usd,
        by_project.unpriced_responses,
        by_project.first_at,
        by_project.last_at
    from by_project
    left join questions on by_project.project = questions.project

)

select * from projects
order by total_tokens desc, project asc
