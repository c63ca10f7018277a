{% macro first_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('first_in_between', kwargs, varargs, activity) %}
    {{ return(cdesk.append('first_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}
