{#
    The activities that the system records by itself about its own work, as a list for `in`. They
    are left behind by asking too, so they are no new data for a question that is asked again
    (docs/safesql.md, "Asked again").
#}
{% macro system_activities() -%}
    (
        'cdesk.session_started', 'cdesk.session_ended', 'cdesk.tool_called', 'cdesk.sql_executed',
        'cdesk.sql_completed', 'cdesk.artifact_created', 'cdesk.card_ready',
        'cdesk.insight_recorded', 'cdesk.insight_forgotten', 'cdesk.context_refreshed',
        'cdesk.error_encountered', 'cdesk.retry_attempted', 'cdesk.fallback_triggered'
    )
{%- endmacro %}
