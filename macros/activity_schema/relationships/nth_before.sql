{% macro nth_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('nth_before', kwargs, varargs, activity) %}
    {{ return(cdesk.append('nth_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
