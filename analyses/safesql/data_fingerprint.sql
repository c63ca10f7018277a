{#
    What is built, and what has landed since: a template that reads the live stream changes with the
    second, one that reads built tables with the first. The lines that wait are counted as they
    came, unchecked: this runs before every query that could be answered from an earlier one, and
    has to be cheaper than that.

    What the system records of its own work is left out, but for the activities in `named` (between
    commas: `,cdesk.tool_called,`): those the question asks for.
#}
with

built as (

    select
        count(*) as activity_count,
        max(_landed_at) as last_landed_at
    from {{ ref('events') }}
    where
        (
            customer = {{ cdesk.bind('customer') }}
            or ({{ cdesk.bind('everyone') }} and {{ cdesk.bind('is_analyst') }})
        )
        and (
            activity not in {{ cdesk.system_activities() }}
            or {{ cdesk.named_in('activity', 'named') }}
        )

),

pending as (

    select
        count(*) as pending_count,
        max(landed_at) as last_pending_landed_at
    from {{ ref('unstored_activities') }}
    where
        (
            customer = {{ cdesk.bind('customer') }}
            or ({{ cdesk.bind('everyone') }} and {{ cdesk.bind('is_analyst') }})
        )
        and (
            activity not in {{ cdesk.system_activities() }}
            or {{ cdesk.named_in('activity', 'named') }}
        )

),

insights as (

    select
        count(*) as insight_count,
        coalesce(sum(case when verified then 1 else 0 end), 0) as verified_insight_count,
        max(_landed_at) as last_insight_landed_at
    from {{ ref('insight_atoms') }}
    where
        not is_forgotten
        and (
            customer = {{ cdesk.bind('customer') }}
            or ({{ cdesk.bind('everyone') }} and {{ cdesk.bind('is_analyst') }})
        )

)

select
    built.activity_count,
    built.last_landed_at,
    pending.pending_count,
    pending.last_pending_landed_at,
    insights.insight_count,
    insights.verified_insight_count,
    insights.last_insight_landed_at
from built
cross join pending
cross join insights
