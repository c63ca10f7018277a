with

responses as (

    {{ cdesk.priced_responses(cdesk.within_days_back('events.ts')) | indent }}

),

sessions as (

    select
        session_id,
        max(project) as project,
        min(ts) as started_at,
        sum(total_tokens) as total_tokens,
        sum(cost_usd) as cost_usd,
        count(*) as responses
    from responses
    group by session_id

),

compared as (

    select
        *,
        avg(total_tokens) over (partition by project) as project_average_tokens
    from sessions

),

outliers as (

    select
        session_id,
        project,
        started_at,
        responses,
        total_tokens,
        cost_usd,
        project_average_tokens,
        total_tokens / nullif(project_average_tokens, 0) as times_average
    from compared
    where total_tokens > 2 * project_average_tokens

)

select * from outliers
{{ cdesk.first_rows('times_average desc, session_id') }}
