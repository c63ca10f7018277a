{#-
    Customers by the period of their first time, and how many of them came back in each period
    after.
-#}
with

firsts as (

    select
        customer,
        min(ts) as first_ts
    from {{ ref('events') }}
    where
        activity = {{ cdesk.bind('first_activity') }}
        and {{ cdesk.caller_rows('customer') }}
        and customer is not null
    group by customer

),

cohorts as (

    select
        customer,
        first_ts,
        {{ cdesk.truncate_to(
            cdesk.to_local('first_ts'), cdesk.bind_as('period', 'varchar')
        ) }} as cohort_start
    from firsts

),

sizes as (

    select
        cohort_start,
        count(*) as customers
    from cohorts
    group by cohort_start

),

-- A return is strictly after the first time: in period 0 a second time counts, the first itself
-- doesn't.
returned as (

    select
        cohorts.customer,
        cohorts.cohort_start,
        {{ cdesk.truncate_to(
            cdesk.to_local('events.ts'), cdesk.bind_as('period', 'varchar')
        ) }} as return_start
    from {{ ref('events') }} as events
    inner join cohorts
        on events.customer = cohorts.customer and events.ts > cohorts.first_ts
    where
        events.activity = {{ cdesk.bind('return_activity') }}
        and {{ cdesk.caller_rows('events.customer') }}

),

returns as (

    select distinct
        customer,
        cohort_start,
        case {{ cdesk.bind('period') }}
            when 'day' then {{ dbt.datediff('cohort_start', 'return_start', 'day') }}
            when 'week'
                then {{ dbt.datediff('cohort_start', 'return_start', 'day') }} / 7
            else
                (extract(year from return_start) - extract(year from cohort_start)) * 12
                + extract(month from return_start)
                - extract(month from cohort_start)
        end as period
    from returned

),

counted as (

    select
        cohort_start,
        period,
        count(*) as returned
    from returns
    group by cohort_start, period

),

numbers as (

    {{ dbt.generate_series(61) }}

),

asked as (

    select generated_number - 1 as period
    from numbers
    where generated_number - 1 <= {{ cdesk.bind_as('periods', 'integer') }}

),

retained as (

    select
        {{ cdesk.from_local('sizes.cohort_start') }} as cohort_start,
        sizes.customers,
        asked.period,
        coalesce(counted.returned, 0) as returned,
        coalesce(counted.returned, 0) / cast(sizes.customers as double) as retention
    from sizes
    cross join asked
    left join counted
        on sizes.cohort_start = counted.cohort_start and asked.period = counted.period

)

select * from retained
order by cohort_start desc, period asc
