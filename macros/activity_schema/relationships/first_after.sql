{% macro first_after(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('first_after', kwargs, varargs, activity) %}
    {{ return(cdesk.append('first_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}
