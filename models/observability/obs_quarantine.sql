with

lines as (

    select
        {{ cdesk.local_day('landed_at') }} as day,
        case when kind = 'quarantine' then 1 else 0 end as is_quarantined
    from {{ ref('_ingest_ids') }}

),

days as (

    select
        cast(day as date) as day,
        count(*) as line_count,
        sum(is_quarantined) as quarantined_count,
        sum(is_quarantined) / cast(count(*) as double) as quarantine_rate
    from lines
    group by day

)

select * from days
