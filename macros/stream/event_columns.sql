{#
    The columns of `events`, in order, and where each comes from: a field of the record, a column of
    landing, or the numbering. The one list that stg_events, events and events_live share.
#}
{% macro event_columns() -%}
    {{ return({
        'activity': {'from': 'record', 'name': 'activity'},
        'customer': {'from': 'record', 'name': 'customer'},
        'ts': {'from': 'record', 'name': 'ts'},
        'activity_repeated_at': {'from': 'numbering'},
        'activity_occurrence': {'from': 'numbering'},
        'link': {'from': 'record', 'name': 'link'},
        'revenue_impact': {'from': 'record', 'name': 'revenue_impact'},
        '_feature_json': {'from': 'record', 'name': 'feature_json'},
        '_source_system': {'from': 'record', 'name': 'source_system'},
        '_source_version': {'from': 'record', 'name': 'source_version'},
        '_session_id': {'from': 'record', 'name': 'session_id'},
        '_query_tag': {'from': 'record', 'name': 'query_tag'},
        '_activity_id': {'from': 'landing', 'name': 'id'},
        '_anonymous_customer_id': {'from': 'record', 'name': 'anonymous_customer_id'},
        '_landed_at': {'from': 'landing', 'name': 'landed_at'},
    }) }}
{%- endmacro %}
