{# What every view of a kind of event begins with: which event, when, whose, in which session. #}
{% macro event_head() -%}
_activity_id as activity_id,
        ts,
        customer,
        activity,
        _session_id as session_id
{%- endmacro %}
