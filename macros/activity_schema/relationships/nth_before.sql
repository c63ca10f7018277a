{% macro nth_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
