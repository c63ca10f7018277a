{% macro last_at_or_before(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('last_at_or_before', kwargs, varargs, activity) %}
    {{ return(cdesk.append('last_at_or_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
