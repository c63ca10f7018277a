{% macro aggregate_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('aggregate_in_between', kwargs, varargs, activity) %}
    {{ return(cdesk.append('aggregate_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}
