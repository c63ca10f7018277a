{% macro last_after(activity, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('last_after', kwargs, varargs, activity) %}
    {{ return(cdesk.append('last_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}
