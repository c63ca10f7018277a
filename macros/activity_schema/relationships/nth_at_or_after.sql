{% macro nth_at_or_after(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('nth_at_or_after', kwargs, varargs, activity) %}
    {{ return(cdesk.append('nth_at_or_after', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
