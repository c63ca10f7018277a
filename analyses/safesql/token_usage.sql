{%- set period = cdesk.bind_as('period', 'varchar') -%}
with

responses as (

    {{ cdesk.priced_responses(cdesk.within_dates('events.ts')) | indent }}

),

grouped as (

    select
        *,
        case {{ period }}
            when 'hour' then {{ cdesk.clock_text(cdesk.to_local('ts'), hours=true) }}
            {%- for part in ['day', 'week', 'month'] %}
            when '{{ part }}'
                then {{ cdesk.clock_text(dbt.date_trunc(part, cdesk.to_local('ts'))) }}
            {%- endfor %}
            when 'session' then coalesce(session_id, 'unknown')
            when 'model' then model
            when 'project' then project
        end as period_start
    from responses

),

usage_by_group as (

    select
        period_start,
        {{ cdesk.usage_sums() }}
    from grouped
    group by period_start

)

select * from usage_by_group
order by
    case
        when {{ period }} in ('hour', 'day', 'week', 'month') then period_start
    end desc,
    total_tokens desc,
    period_start asc
