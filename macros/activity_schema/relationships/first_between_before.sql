{% macro first_between_before(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('first_between_before', kwargs, varargs, activity) %}
    {{ return(cdesk.append('first_between_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
