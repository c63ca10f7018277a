{% macro last_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('last_in_between', kwargs, varargs, activity) %}
    {{ return(cdesk.append('last_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}
