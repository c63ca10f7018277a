{#
    What a context cache remembers of the newest activities, to be joined with what has landed
    since. `cached` is a CTE with the column `context`.
#}
{% macro cached_activities(cached) -%}
    with

    parsed as (

        select
            customer,
            {{ cdesk.json_value(cdesk.parse_json('context'), 'last_activities') }}
                as last_activities
        from {{ cached }}

    )

    select
        customer,
        {{ cdesk.json_string('element', 'activity') }} as activity,
        {{ cdesk.try_timestamp(cdesk.json_string('element', 'ts')) }} as recorded_at,
        {{ cdesk.json_string('element', 'activity_id') }} as _activity_id
    {{ cdesk.json_elements('parsed', 'last_activities') }}
{%- endmacro %}
