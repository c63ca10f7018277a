{#-
    Beside each count the one of as many days before: what happened then is moved forward by the
    days that are asked about, so that it lies beside what it is compared with.
-#}
with

activities as (

    select
        ts,
        case when ts >= {{ cdesk.time_back('day', 'days_back') }} then 0 else 1 end as is_before,
        activity,
        _activity_id,
        _session_id,
        _source_system
    from {{ ref('events_live') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and activity = {{ cdesk.bind('activity') }}
        and ts >= {{ cdesk.time_back('day', 'days_back', times=2) }}

),

side_by_side as (

    select
        case
            when is_before = 0 then ts
            else {{ dbt.dateadd('day', cdesk.bind_as('days_back', 'integer'), 'ts') }}
        end as ts,
        is_before,
        activity,
        _activity_id,
        _session_id,
        _source_system
    from activities

),

by_period as (

    select
        {{ cdesk.period_start('ts', cdesk.bind_as('period', 'varchar')) }} as period_start,
        is_before,
        activity,
        _activity_id,
        _session_id,
        _source_system
    from side_by_side

),

periods as (

    select
        period_start,
        count(case when is_before = 0 then _activity_id end) as activity_count,
        count(distinct case when is_before = 0 then _session_id end) as session_count,
        count(case when is_before = 1 then _activity_id end) as activity_count_before,
        {{ cdesk.basis_of_rows() }} as basis
    from by_period
    group by period_start

)

select * from periods
order by period_start desc
