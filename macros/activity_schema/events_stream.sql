{# This project's own stream. `relation` may be `ref('events_live')`, which has the same columns. #}
{% macro events_stream(relation=none) -%}
    {% do cdesk._as_check_arguments('events_stream', ['relation'], kwargs, varargs) %}
    {% set columns = {
        'activity_id': '_activity_id',
        'anonymous_customer_id': '_anonymous_customer_id',
        'feature_json': '_feature_json',
        'activity_occurrence': 'activity_occurrence',
        'activity_repeated_at': 'activity_repeated_at',
        'session_id': '_session_id',
        'query_tag': '_query_tag',
        'source_system': '_source_system',
        'source_version': '_source_version',
        'landed_at': {'column': '_landed_at', 'type': 'timestamp'},
    } %}
    {{ return(cdesk.stream(relation or ref('events'), columns, typed=true)) }}
{%- endmacro %}
