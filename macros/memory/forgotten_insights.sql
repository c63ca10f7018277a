{#
    The insights that somebody asked to forget, by `customer` and `insight_id`, each once. `where`
    is a further condition on the rows of `events`.
#}
{% macro forgotten_insights(where) -%}
    {%- set insight_id = cdesk.json_string('events._feature_json', 'insight_id') -%}
    select distinct
        events.customer,
        {{ insight_id }} as insight_id
    from {{ ref('events') }} as events
    where
        events.activity = 'cdesk.insight_forgotten'
        and {{ where }}
{%- endmacro %}
