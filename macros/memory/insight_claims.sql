{#
    What each insight of `insights` (a CTE with the columns of stg_insights) says, by type:
    `value_type`, `value_text`, and of a number `value_number` and, where it has no fraction,
    `value_integer`.
#}
{% macro insight_claims(insights) -%}
    with

    typed as (

        select
            *,
            case
                when {{ cdesk.json_is('value', 'number') }} then 'number'
                when {{ cdesk.json_is('value', 'string') }} then 'string'
                when {{ cdesk.json_is('value', 'boolean') }} then 'boolean'
                else 'null'
            end as value_type,
            {{ cdesk.json_text('value') }} as value_text
        from {{ insights }}

    )

    select
        *,
        {{ cdesk.recorded_at() }} as recorded_at,
        case when value_type = 'number' then {{ cdesk.try_double('value_text') }} end
            as value_number,
        case when value_type = 'number' then {{ cdesk.exact_integer('value_text') }} end
            as value_integer
    from typed
{%- endmacro %}
