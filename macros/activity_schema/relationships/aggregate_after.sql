{% macro aggregate_after(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('aggregate_after', kwargs, varargs, activity) %}
    {{ return(cdesk.append('aggregate_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}
