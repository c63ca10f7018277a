{#
    The record contract: field → rule, for one kind of record, or with no kind for all of them
    together. The rules are those of `record_rule`; docs/contracts.md has the contract in words.
#}
{% macro record_fields(kind=none) -%}
    {%- set envelope = {
        'v': 'count', 'kind': 'text', 'id': 'uuid', 'ts': 'timestamp', 'customer': 'customer',
        'session_id': 'text or null', 'query_tag': 'query_tag', 'source_system': 'source',
        'source_version': 'text',
    } -%}
    {%- set event = {
        'anonymous_customer_id': 'customer or null', 'activity': 'activity',
        'feature_json': 'object', 'link': 'link or null', 'revenue_impact': 'number or null',
    } -%}
    {%- set kinds = {
        'event': event,
        'revision': dict(event, replaces='uuid', revision='count'),
        'insight': {
            'subject': 'customer', 'metric': 'customer', 'value': 'scalar',
            'provenance_query_hash': 'hash or null',
        },
        'artifact': {
            'uri': 'text', 'format': 'format', 'rows': 'count', 'bytes': 'count',
            'sampled': 'boolean', 'query_hash': 'hash',
            'expires_at': 'timestamp', 'legal_hold': 'boolean',
        },
        'query_run': {
            'ticket_id': 'uuid', 'template': 'text', 'sql': 'string', 'params': 'object text',
            'query_hash': 'hash', 'rows': 'count', 'bytes': 'count', 'sampled': 'boolean',
            'status': 'status', 'error_code': 'text or null', 'elapsed_ms': 'number',
            'as_of': 'timestamp or null', 'artifact_id': 'uuid or null', 'evidence': 'array',
            'evidence_complete': 'boolean',
        },
    } -%}
    {%- if kind is none -%}
        {%- set all = {} -%}
        {%- do all.update(envelope) -%}
        {%- for fields in kinds.values() -%}{%- do all.update(fields) -%}{%- endfor -%}
        {{ return(all) }}
    {%- elif kind == 'envelope' -%}
        {{ return(envelope) }}
    {%- else -%}
        {%- do cdesk._check_one_of('record_fields', 'kind', kind, kinds) -%}
        {%- set fields = dict(envelope) -%}
        {%- do fields.update(kinds[kind]) -%}
        {{ return(fields) }}
    {%- endif -%}
{%- endmacro %}
