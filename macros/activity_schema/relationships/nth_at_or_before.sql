{% macro nth_at_or_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {% do cdesk._as_check_append('nth_at_or_before', kwargs, varargs, activity) %}
    {{ return(cdesk.append('nth_at_or_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
