{#
    An answer is a query that came to a good end (`cdesk.sql_completed`, written by the runner of
    this system). It is traceable where its own run stands in the chain, with the SQL and parameters
    that its query_hash is over, and the stored result that it links to is known.
#}
{{ config(materialized='view') }}

with

answers as (

    select
        _activity_id as activity_id,
        customer,
        {{ cdesk.json_string('_feature_json', 'ticket_id') }} as ticket_id,
        {{ cdesk.json_string('_feature_json', 'query_hash') }} as query_hash,
        {{ cdesk.local_day('ts') }} as day
    from {{ ref('events') }}
    where
        activity = 'cdesk.sql_completed'
        and _source_system = 'claude_desktop'
        and {{ cdesk.json_string('_feature_json', 'status') }} = 'succeeded'

),

proven_runs as (

    select distinct
        runs.customer,
        runs.ticket_id,
        runs.query_hash
    from {{ ref('provenance_chain') }} as runs
    inner join {{ ref('artifacts') }} as artifacts
        on
            runs.artifact_id = artifacts.artifact_id
            and runs.customer = artifacts.customer
            and runs.query_hash = artifacts.query_hash
    where runs.status = 'succeeded'

),

traced as (

    select
        answers.day,
        case when proven_runs.ticket_id is null then 0 else 1 end as is_traced
    from answers
    left join proven_runs
        on
            answers.customer = proven_runs.customer
            and answers.ticket_id = proven_runs.ticket_id
            and answers.query_hash = proven_runs.query_hash

),

days as (

    select
        cast(day as date) as day,
        count(*) as answer_count,
        sum(is_traced) as traced_answer_count,
        sum(is_traced) / cast(count(*) as double) as provenance_coverage
    from traced
    group by day

)

select * from days
