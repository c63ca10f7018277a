{#
    The activities that a refresh of the context leaves behind, as a list for `in`. The context
    takes no notice of them: else each refresh would be the reason for the next.
#}
{% macro bookkeeping_activities() -%}
    ('cdesk.context_refreshed')
{%- endmacro %}
