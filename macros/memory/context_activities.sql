{#
    The newest activities of a context, one row per customer: `last_activities`, what the person did
    rather than what the system recorded about its own work. `activities` is a CTE of (customer,
    activity, recorded_at, _activity_id).
#}
{% macro context_activities(activities) -%}
    {%- set order = 'recorded_at desc, _activity_id desc' -%}
    with

    newest as (

        select *
        from {{ activities }}
        where activity not in {{ cdesk.system_activities() }}
        qualify row_number() over (partition by customer order by {{ order }}) <= 20

    )

    select
        customer,
        {{ cdesk.json_array_agg(cdesk.json_object([
            ['activity', cdesk.json_quote('activity')],
            ['ts', cdesk.json_quote(cdesk.timestamp_text('recorded_at'))],
            ['activity_id', cdesk.json_quote('_activity_id')],
        ]), order) }} as last_activities
    from newest
    group by customer
{%- endmacro %}
