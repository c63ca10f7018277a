{% macro last_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('last_ever', kwargs, varargs, activity) %}
    {{ return(cdesk.append('last_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}
