with

activities as (

    select
        count(*) as activity_count,
        max({{ cdesk.recorded_at() }}) as last_activity_at,
        max(_landed_at) as last_landed_at,
        {{ cdesk.basis_of_rows() }} as basis
    from {{ ref('events_live') }}
    where customer = {{ cdesk.bind('customer') }}

),

insights as (

    select
        count(*) as insight_count,
        coalesce(sum(case when verified then 1 else 0 end), 0) as verified_insight_count
    from {{ ref('insight_atoms') }}
    where customer = {{ cdesk.bind('customer') }} and not is_forgotten

),

quarantined as (

    select count(*) as quarantined_count
    from {{ ref('quarantined_events') }}
    where customer = {{ cdesk.bind('customer') }}

)

select
    activities.activity_count,
    activities.last_activity_at,
    activities.last_landed_at,
    insights.insight_count,
    insights.verified_insight_count,
    quarantined.quarantined_count,
    activities.basis,
    {{ cdesk.utc_now() }} as as_of
from activities
cross join insights
cross join quarantined
