{#
    As they came, unchecked: to know whether something waits has to be cheaper than to show it. A
    view of its own, so that whoever asks reads as little of landing as events_live does
    (macro live_since), and readers, to whom landing shows no row, see theirs.
#}
{{ config(materialized='view') }}

with

lines as (

    select * from {{ source('cdesk', 'landing') }}

),

stored as (

    select * from {{ ref('events') }}

)

select
    lines.id,
    {{ cdesk.json_string('lines.payload', 'customer') }} as customer,
    {{ cdesk.json_string('lines.payload', 'activity') }} as activity,
    lines.landed_at
from lines
where
    lines.kind = 'event'
    and lines.landed_at >= {{ cdesk.live_since() }}
    and not exists (
        select 1
        from stored
        where stored._landed_at = lines.landed_at and stored._activity_id = lines.id
    )
