{% macro last_before(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('last_before', kwargs, varargs, activity) %}
    {{ return(cdesk.append('last_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
