{% macro nth_in_between(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('nth_in_between', kwargs, varargs, activity) %}
    {{ return(cdesk.append('nth_in_between', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
