{% macro nth_at_or_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_at_or_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
