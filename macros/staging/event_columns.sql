{# The columns of an activity as its record has them: what `stg_events`, `events` and `events_live` share, in this order. Reads `fields`. #}
{% macro event_columns() -%}
    {{ cdesk.record_field('event', 'activity') }} as activity,
    {{ cdesk.record_field('event', 'customer') }} as customer,
    {{ cdesk.record_field('event', 'ts') }} as ts,
    {{ cdesk.record_field('event', 'link') }} as link,
    {{ cdesk.record_field('event', 'revenue_impact') }} as revenue_impact,
    {{ cdesk.record_field('event', 'feature_json') }} as _feature_json,
    {{ cdesk.record_field('event', 'source_system') }} as _source_system,
    {{ cdesk.record_field('event', 'source_version') }} as _source_version,
    {{ cdesk.record_field('event', 'session_id') }} as _session_id,
    {{ cdesk.record_field('event', 'query_tag') }} as _query_tag,
    id as _activity_id,
    {{ cdesk.record_field('event', 'anonymous_customer_id') }} as _anonymous_customer_id,
    landed_at as _landed_at
{%- endmacro %}
