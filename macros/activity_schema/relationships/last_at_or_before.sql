{% macro last_at_or_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_at_or_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
