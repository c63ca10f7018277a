with

responses as (

    {{ cdesk.priced_responses(cdesk.within_days_back('events.ts')) | indent }}

),

savings as (

    select
        model,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(cache_creation_tokens) as cache_creation_tokens,
        sum(input_tokens) as input_tokens,
        sum(cache_read_tokens) * 1.0
        / nullif(sum(input_tokens + cache_read_tokens + cache_creation_tokens), 0)
            as cache_hit_rate,
        sum(cost_usd) as cost_usd,
        sum(uncached_usd) as uncached_usd,
        sum(uncached_usd) - sum(cost_usd) as saved_usd,
        count(*) - count(cost_usd) as unpriced_responses
    from responses
    group by model

)

select * from savings
order by saved_usd desc nulls last, model asc
