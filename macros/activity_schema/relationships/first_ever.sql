{% macro first_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('first_ever', kwargs, varargs, activity) %}
    {{ return(cdesk.append('first_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}
