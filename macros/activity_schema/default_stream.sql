{#
    The model that the var `cdesk__activity_schema_stream` names, with the columns of
    `cdesk__activity_schema_columns`; without them, this project's `events`.
#}
{% macro default_stream() -%}
    {% set name = cdesk._as_var('cdesk__activity_schema_stream', none) %}
    {% if name %}
        {{ return(cdesk.stream(ref(name), cdesk._as_var('cdesk__activity_schema_columns', {}))) }}
    {% endif %}
    {{ return(cdesk.events_stream()) }}
{%- endmacro %}
