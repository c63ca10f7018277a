{% macro nth_between_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('nth_between_before', kwargs, varargs, activity) %}
    {{ return(cdesk.append('nth_between_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
