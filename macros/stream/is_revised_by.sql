{#
    Whether a revision counts for an activity: the same one, from the same source. So no file that
    is imported says anew what this server recorded.
#}
{% macro is_revised_by(one, revised) -%}
    {{ cdesk.same_activity(one, revised) }}
            and {{ one }}._source_system = {{ revised }}._source_system
{%- endmacro %}
