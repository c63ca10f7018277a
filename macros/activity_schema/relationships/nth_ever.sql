{% macro nth_ever(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('nth_ever', kwargs, varargs, activity) %}
    {{ return(cdesk.append('nth_ever', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
