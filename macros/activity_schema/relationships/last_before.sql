{% macro last_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
