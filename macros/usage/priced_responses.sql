{#
    The caller's responses of models that meet `condition`, each with its tokens and what it cost in
    US dollars by the price that held then. `cost_usd` is null where the model has no price.
    `uncached_usd` is what it would have cost had nothing been cached.
#}
{% macro priced_responses(condition) -%}
    {%- set json = 'events._feature_json' -%}
    with

    responses as (

        select
            events.ts,
            events._activity_id,
            events._session_id as session_id,
            coalesce({{ cdesk.json_string(json, 'model') }}, 'unknown') as model,
            coalesce({{ cdesk.json_string(json, 'project') }}, 'unknown') as project,
            coalesce({{ cdesk.json_integer(json, 'input_tokens') }}, 0) as input_tokens,
            coalesce({{ cdesk.json_integer(json, 'output_tokens') }}, 0) as output_tokens,
            coalesce({{ cdesk.json_integer(json, 'cache_read_tokens') }}, 0) as cache_read_tokens,
            coalesce({{ cdesk.json_integer(json, 'cache_creation_tokens') }}, 0)
                as cache_creation_tokens,
            coalesce({{ cdesk.json_integer(json, 'cache_creation_1h_tokens') }}, 0)
                as cache_creation_1h_tokens,
            {{ cdesk.json_number(json, 'latency_ms') }} as latency_ms
        from ({{ cdesk.usage_events('claude_responded', condition) }}) as events
        where
            {{ cdesk.json_string(json, 'output_tokens') }} is not null
            and {{ cdesk.json_string(json, 'is_repeated') }} is null

    ),

    prices as (

        select
            *,
            lead(valid_from) over (partition by model_pattern order by valid_from) as valid_to
        from {{ ref('model_prices') }}

    ),

    tiers as (

        select
            responses.*,
            case
                when
                    input_tokens + cache_read_tokens + cache_creation_tokens
                    > prices.long_context_tokens then 1
                else 0
            end as is_long,
            {%- for name in ['input', 'output', 'cache_read', 'cache_write_5m', 'cache_write_1h'] %}
            prices.{{ name }}_usd as {{ name }}_short_usd,
            prices.long_{{ name }}_usd as {{ name }}_long_usd{{ ',' if not loop.last }}
            {%- endfor %}
        from responses
        left join prices
            on
                {{ cdesk.model_name('responses.model') }} = prices.model_pattern
                and responses.ts >= prices.valid_from
                and (prices.valid_to is null or responses.ts < prices.valid_to)

    )

    select
        ts,
        _activity_id,
        session_id,
        model,
        project,
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_creation_tokens,
        input_tokens + output_tokens + cache_read_tokens + cache_creation_tokens as total_tokens,
        latency_ms,
        (
            input_tokens * {{ cdesk._tier('input') }}
            + output_tokens * {{ cdesk._tier('output') }}
            + cache_read_tokens * {{ cdesk._tier('cache_read') }}
            + (cache_creation_tokens - cache_creation_1h_tokens)
            * {{ cdesk._tier('cache_write_5m') }}
            + cache_creation_1h_tokens * {{ cdesk._tier('cache_write_1h') }}
        ) / 1000000.0 as cost_usd,
        (
            (input_tokens + cache_read_tokens + cache_creation_tokens)
            * {{ cdesk._tier('input') }}
            + output_tokens * {{ cdesk._tier('output') }}
        ) / 1000000.0 as uncached_usd
    from tiers
{%- endmacro %}

{% macro _tier(name) -%}
    case when is_long = 1 then {{ name }}_long_usd else {{ name }}_short_usd end
{%- endmacro %}
