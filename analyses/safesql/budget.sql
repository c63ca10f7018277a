{%- set now = cdesk.to_local(cdesk.utc_now()) -%}
{%- set type = dbt.type_timestamp() -%}
with

responses as (

    {{ cdesk.priced_responses(
        "events.ts >= " ~ cdesk.from_local(
            dbt.dateadd('day', -7, dbt.date_trunc('month', now))
        )
    ) | indent }}

),

limits as (

    {%- for part in ['day', 'week', 'month'] %}
    select
        '{{ part }}' as period,
        {{ cdesk.from_local(dbt.date_trunc(part, now)) }} as period_start,
        {{ cdesk.bind_as(part, 'double') }} as limit_usd
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

budget as (

    select
        limits.period,
        limits.period_start,
        coalesce(
            sum(responses.cost_usd), case when count(responses.ts) = 0 then 0.0 end
        ) as spent_usd,
        limits.limit_usd,
        count(responses.ts) - count(responses.cost_usd) as unpriced_responses
    from limits
    left join responses on limits.period_start <= responses.ts
    group by limits.period, limits.period_start, limits.limit_usd

)

select
    period,
    period_start,
    spent_usd,
    limit_usd,
    spent_usd / limit_usd as used_share,
    unpriced_responses
from budget
order by period_start desc, period asc
