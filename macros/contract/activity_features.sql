{#
    The keys of `feature_json` that each activity of the vocabulary declares, with their types: the
    seed activity_features, to which a test holds this. A key may be missing in a record.
#}
{% macro activity_features() -%}
    {{ return({
        'cdesk.user_asked': {
            'question': 'string', 'topic': 'string', 'length': 'integer',
            'attachments': 'integer', 'source': 'string', 'client': 'string',
            'project': 'string', 'agent': 'string',
        },
        'cdesk.claude_responded': {
            'summary': 'string', 'response': 'string', 'model': 'string', 'length': 'integer',
            'thinking_length': 'integer', 'tool_calls': 'integer', 'input_tokens': 'integer',
            'output_tokens': 'integer', 'latency_ms': 'number', 'source': 'string',
            'client': 'string', 'project': 'string', 'agent': 'string',
        },
        'cdesk.llm_called': {
            'model': 'string', 'length': 'integer', 'input_tokens': 'integer',
            'output_tokens': 'integer', 'latency_ms': 'number',
        },
        'cdesk.session_started': {
            'client_name': 'string', 'client_version': 'string', 'protocol_version': 'string',
            'server_version': 'string', 'title': 'string', 'title_length': 'integer',
            'model': 'string', 'source': 'string', 'client': 'string', 'project': 'string',
            'agent': 'string',
        },
        'cdesk.session_ended': {
            'reason': 'string', 'duration_ms': 'number', 'calls': 'integer', 'errors': 'integer',
            'source': 'string', 'client': 'string', 'project': 'string', 'agent': 'string',
        },
        'cdesk.agent_started': {
            'agent': 'string', 'project': 'string', 'client': 'string',
        },
        'cdesk.context_compacted': {
            'trigger': 'string', 'tokens_before': 'integer', 'project': 'string',
            'client': 'string',
        },
        'cdesk.tool_called': {
            'tool': 'string', 'latency_ms': 'number', 'outcome': 'string',
            'error_code': 'string', 'input_length': 'integer', 'output_length': 'integer',
            'source': 'string', 'client': 'string', 'project': 'string', 'agent': 'string',
        },
        'cdesk.context_refreshed': {
            'version': 'string', 'latency_ms': 'number',
        },
        'cdesk.file_read': {
            'path': 'string', 'kind': 'string', 'bytes': 'integer', 'content_length': 'integer',
            'source': 'string', 'client': 'string', 'project': 'string', 'agent': 'string',
        },
        'cdesk.file_written': {
            'path': 'string', 'kind': 'string', 'bytes': 'integer', 'content_length': 'integer',
            'source': 'string', 'client': 'string', 'project': 'string', 'agent': 'string',
        },
        'cdesk.sql_executed': {
            'ticket_id': 'string', 'template': 'string', 'query_hash': 'string',
        },
        'cdesk.sql_completed': {
            'ticket_id': 'string', 'template': 'string', 'query_hash': 'string',
            'rows': 'integer', 'bytes': 'integer', 'elapsed_ms': 'number', 'status': 'string',
            'error_code': 'string',
        },
        'cdesk.artifact_created': {
            'artifact_id': 'string', 'uri': 'string', 'format': 'string', 'rows': 'integer',
            'bytes': 'integer', 'query_hash': 'string',
        },
        'cdesk.card_ready': {
            'artifact_id': 'string', 'query_hash': 'string', 'template': 'string',
            'chart': 'string', 'rows': 'integer', 'elapsed_ms': 'number',
        },
        'cdesk.insight_recorded': {
            'insight_id': 'string', 'subject': 'string', 'metric': 'string',
            'provenance_query_hash': 'string',
        },
        'cdesk.insight_forgotten': {
            'insight_id': 'string',
        },
        'cdesk.error_encountered': {
            'where': 'string', 'tool': 'string', 'error_code': 'string', 'message': 'string',
        },
        'cdesk.retry_attempted': {
            'where': 'string', 'error_code': 'string', 'message': 'string',
        },
        'cdesk.fallback_triggered': {
            'where': 'string', 'component': 'string', 'fallback': 'string',
            'error_code': 'string', 'message': 'string',
        },
    }) }}
{%- endmacro %}
