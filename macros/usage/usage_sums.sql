{#
    The sums of a group of `priced_responses`, by the names that all templates share. What a model
    without a price cost is not known, and `unpriced_responses` says of how many that holds;
    `cost_usd` is null where it holds of all.
#}
{% macro usage_sums() -%}
    sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(cache_creation_tokens) as cache_creation_tokens,
        sum(total_tokens) as total_tokens,
        sum(cost_usd) as cost_usd,
        count(*) as responses,
        count(*) - count(cost_usd) as unpriced_responses
{%- endmacro %}
