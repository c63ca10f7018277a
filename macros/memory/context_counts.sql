{#
    The counts of a context, one row per customer of `customers` with any: `counts` by activity for
    one, seven and thirty UTC calendar days up to `today` (SQL of a date), and `definitions` of the
    activities counted. `events` is SQL of a relation, since a CTE that is read several times would
    be read whole.
#}
{% macro context_counts(events, customers, vocabulary, today) -%}
    with

    activity_counts as (

        select
            customer,
            activity,
            sum(case when ts >= {{ today }} then 1 else 0 end) as d1,
            sum(case when ts >= {{ dbt.dateadd('day', -6, today) }} then 1 else 0 end) as d7,
            count(*) as d30
        from {{ events }}
        where
            customer in (select customers.customer from {{ customers }} as customers)
            and ts >= {{ dbt.dateadd('day', -29, today) }}
            and ts < {{ dbt.dateadd('day', 1, today) }}
        group by customer, activity

    ),

    defined as (

        select
            activity_counts.*,
            case
                when vocabulary.activity is not null
                    then
                        {{ cdesk.json_quote('activity_counts.activity') }} || ':'
                        || {{ cdesk.json_quote('vocabulary.description') }}
            end as definition
        from activity_counts
        left join {{ vocabulary }} as vocabulary on activity_counts.activity = vocabulary.activity

    )

    select
        customer,
        {{ cdesk.json_object_agg('activity', cdesk.json_object([
            ['d1', 'cast(d1 as varchar)'], ['d7', 'cast(d7 as varchar)'],
            ['d30', 'cast(d30 as varchar)'],
        ])) }} as counts,
        '{' || coalesce({{ dbt.listagg('definition', "','", 'order by activity') }}, '') || '}'
            as definitions
    from defined
    group by customer
{%- endmacro %}
