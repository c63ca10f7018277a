{#
    Windows of five hours, as limits of use go by: one begins with the hour of the first response
    after the one before has ended. From the hour after a break of five hours on a window begins
    anyway, so that the windows of each stretch between breaks follow from its first hour.
#}
with recursive

responses as (

    {{ cdesk.priced_responses(cdesk.within_days_back('events.ts')) | indent }}

),

hours as (

    select distinct {{ dbt.date_trunc('hour', 'ts') }} as hour_start
    from responses

),

followed as (

    select
        hour_start,
        lag(hour_start) over (order by hour_start) as hour_before,
        lead(hour_start, 1) over (order by hour_start) as next_1,
        lead(hour_start, 2) over (order by hour_start) as next_2,
        lead(hour_start, 3) over (order by hour_start) as next_3,
        lead(hour_start, 4) over (order by hour_start) as next_4,
        lead(hour_start, 5) over (order by hour_start) as next_5
    from hours

),

steps as (

    select
        hour_start,
        coalesce(hour_before < {{ dbt.dateadd('hour', -4, 'hour_start') }}, true) as is_first,
        case
            {%- for place in range(1, 6) %}
            when next_{{ place }} >= {{ dbt.dateadd('hour', 5, 'hour_start') }}
                then next_{{ place }}
            {%- endfor %}
        end as next_start
    from followed

),

starts as (

    select
        hour_start,
        next_start
    from steps
    where is_first
    union all
    select
        steps.hour_start,
        steps.next_start
    from starts
    inner join steps on starts.next_start = steps.hour_start
    where not steps.is_first

),

blocks as (

    select
        starts.hour_start as block_start,
        {{ dbt.dateadd('hour', 5, 'starts.hour_start') }} as block_end,
        max(responses.ts) as last_response_at,
        {{ cdesk.usage_sums() }}
    from starts
    inner join responses
        on
            starts.hour_start <= responses.ts
            and {{ dbt.dateadd('hour', 5, 'starts.hour_start') }} > responses.ts
    group by starts.hour_start

)

select
    *,
    block_end > {{ cdesk.utc_now() }} as is_open
from blocks
order by block_start desc
