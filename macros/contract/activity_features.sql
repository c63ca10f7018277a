{#
    The keys of `feature_json` that each activity of the vocabulary declares, with their
    types. A key may be missing in a record.
    Written by scripts/activity_features.py from the seed of this name.
#}
{% macro activity_features() -%}
    {{ return({
        'cdesk.user_asked': {
            'question': 'string', 'topic': 'string', 'length': 'integer', 'attachments': 'integer',
            'source': 'string', 'client': 'string', 'project': 'string', 'agent': 'string',
            'slash_command': 'string', 'is_sidechain': 'boolean',
        },
        'cdesk.claude_responded': {
            'summary': 'string', 'response': 'string', 'model': 'string', 'length': 'integer',
            'thinking_length': 'integer', 'tool_calls': 'integer', 'input_tokens': 'integer',
            'output_tokens': 'integer', 'latency_ms': 'number', 'source': 'string',
            'client': 'string', 'project': 'string', 'agent': 'string',
            'cache_read_tokens': 'integer', 'cache_creation_tokens': 'integer',
            'cache_creation_5m_tokens': 'integer', 'cache_creation_1h_tokens': 'integer',
            'web_searches': 'integer', 'service_tier': 'string', 'speed': 'string',
            'stop_reason': 'string', 'is_repeated': 'boolean', 'is_sidechain': 'boolean',
        },
        'cdesk.llm_called': {
            'model': 'string', 'length': 'integer', 'input_tokens': 'integer',
            'output_tokens': 'integer', 'latency_ms': 'number',
        },
        'cdesk.session_started': {
            'client_name': 'string', 'client_version': 'string', 'protocol_version': 'string',
            'server_version': 'string', 'title': 'string', 'title_length': 'integer',
            'model': 'string', 'source': 'string', 'client': 'string', 'project': 'string',
            'agent': 'string', 'entry_point': 'string', 'is_forked': 'boolean',
        },
        'cdesk.session_ended': {
            'reason': 'string', 'duration_ms': 'number', 'calls': 'integer', 'errors': 'integer',
            'source': 'string', 'client': 'string', 'project': 'string', 'agent': 'string',
            'title': 'string', 'model': 'string', 'entry_point': 'string',
            'client_version': 'string', 'is_forked': 'boolean',
        },
        'cdesk.agent_started': {
            'agent': 'string', 'project': 'string', 'client': 'string', 'is_sidechain': 'boolean',
        },
        'cdesk.context_compacted': {
            'trigger': 'string', 'tokens_before': 'integer', 'project': 'string',
            'client': 'string', 'agent': 'string', 'is_sidechain': 'boolean',
        },
        'cdesk.tool_called': {
            'tool': 'string', 'latency_ms': 'number', 'outcome': 'string', 'error_code': 'string',
            'input_length': 'integer', 'output_length': 'integer', 'source': 'string',
            'client': 'string', 'project': 'string', 'agent': 'string', 'server': 'string',
            'file': 'string', 'kind': 'string', 'lines_added': 'integer',
            'lines_removed': 'integer', 'logged_activity_id': 'string', 'is_sidechain': 'boolean',
        },
        'cdesk.context_refreshed': {
            'version': 'string', 'elapsed_ms': 'number', 'rebuilt': 'boolean',
        },
        'cdesk.file_read': {
            'path': 'string', 'kind': 'string', 'bytes': 'integer', 'content_length': 'integer',
            'source': 'string', 'client': 'string', 'project': 'string', 'agent': 'string',
            'file': 'string',
        },
        'cdesk.file_written': {
            'path': 'string', 'kind': 'string', 'bytes': 'integer', 'content_length': 'integer',
            'source': 'string', 'client': 'string', 'project': 'string', 'agent': 'string',
            'file': 'string', 'lines_added': 'integer', 'lines_removed': 'integer',
        },
        'cdesk.sql_executed': {
            'ticket_id': 'string', 'template': 'string', 'query_hash': 'string',
        },
        'cdesk.sql_completed': {
            'ticket_id': 'string', 'template': 'string', 'query_hash': 'string', 'rows': 'integer',
            'bytes': 'integer', 'elapsed_ms': 'number', 'status': 'string', 'error_code': 'string',
            'sampled': 'boolean', 'artifact_id': 'string',
        },
        'cdesk.artifact_created': {
            'artifact_id': 'string', 'format': 'string', 'rows': 'integer', 'bytes': 'integer',
            'query_hash': 'string', 'sampled': 'boolean', 'expires_at': 'string',
        },
        'cdesk.card_ready': {
            'artifact_id': 'string', 'query_hash': 'string', 'template': 'string',
            'chart': 'string', 'rows': 'integer', 'elapsed_ms': 'number', 'shown_in': 'string',
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
            'outcome': 'string', 'project': 'string', 'client': 'string', 'agent': 'string',
            'is_sidechain': 'boolean',
        },
        'cdesk.retry_attempted': {
            'where': 'string', 'error_code': 'string', 'message': 'string',
        },
        'cdesk.fallback_triggered': {
            'where': 'string', 'component': 'string', 'fallback': 'string', 'error_code': 'string',
            'message': 'string', 'from': 'string', 'to': 'string', 'reason': 'string',
            'depth': 'integer', 'level': 'integer', 'seconds': 'number', 'activities': 'object',
        },
    }) }}
{%- endmacro %}
