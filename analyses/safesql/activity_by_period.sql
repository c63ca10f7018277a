with

activities as (

    select
        {{ cdesk.period_start('ts', cdesk.bind_as('period', 'varchar')) }} as period_start,
        activity,
        _session_id,
        _source_system
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and activity = {{ cdesk.bind('activity') }}
        and ts >= {{ cdesk.time_back('day', 'days_back') }}

),

periods as (

    select
        period_start,
        count(*) as activity_count,
        count(distinct _session_id) as session_count,
        {{ cdesk.basis_of_rows() }} as basis
    from activities
    group by period_start

)

select * from periods
order by period_start desc
