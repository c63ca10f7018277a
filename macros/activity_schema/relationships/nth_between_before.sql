{% macro nth_between_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_between_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
