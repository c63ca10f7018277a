{#
    The lines of `landing` without those of a customer who was erased, recorded before that: a queue
    or a backup may bring them long after. What they record later is a new beginning.

    A line with no time that can be read is left to the checks, which quarantine it.
#}
{% macro unerased_lines() -%}
    {%- set customer = '(' ~ cdesk.line_field('landing', 'customer') ~ ')' -%}
    {%- set recorded_at = cdesk.try_timestamp('(' ~ cdesk.line_field('landing', 'ts') ~ ')') -%}
    select landing.*
    from {{ source('cdesk', 'landing') }} as landing
    cross join (
        select max(hash_key) as hash_key from {{ ref('erasures') }}
    ) as erasure_key
    left join (
        select
            customer_hash,
            max(erased_at) as erased_at
        from {{ ref('erasures') }}
        group by customer_hash
    ) as erased
        on erased.customer_hash = {{ cdesk.erasure_hash('erasure_key.hash_key', customer) }}
    where
        erased.customer_hash is null
        or coalesce({{ recorded_at }} > erased.erased_at, true)
{%- endmacro %}
