{% macro aggregate_all_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('aggregate_all_ever', kwargs, varargs, activity) %}
    {{ return(cdesk.append('aggregate_all_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}
