{% macro aggregate_before(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('aggregate_before', kwargs, varargs, activity) %}
    {{ return(cdesk.append('aggregate_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
