{#
    The activities that the system alone records (`recorded_by` is `system` in the vocabulary), as a
    list for `in`. `log_event` and imports refuse them, so no caller has a word in how often they
    stand there. `system_activities` has those beside them that a caller may log too.
#}
{% macro system_only_activities() -%}
    (
        'cdesk.session_started', 'cdesk.session_ended', 'cdesk.tool_called', 'cdesk.sql_executed',
        'cdesk.sql_completed', 'cdesk.artifact_created', 'cdesk.card_ready',
        'cdesk.insight_recorded', 'cdesk.insight_forgotten', 'cdesk.context_refreshed'
    )
{%- endmacro %}
