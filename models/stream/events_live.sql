{#
    `events` and what has landed since, numbered as the next build will.
#}
{{ config(materialized='view', post_hook="{{ cdesk.create_live_changes() }}") }}

with

changes as (

    {{ cdesk.live_changes() }}

),

unchanged as (

    select stored.*
    from {{ ref('events') }} as stored
    where not exists (
        select 1
        from changes
        where
            {{ cdesk.same_activity('changes', 'stored') }}
    )

)

select * from unchanged
union all
select * from changes
