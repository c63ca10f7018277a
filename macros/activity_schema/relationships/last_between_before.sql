{% macro last_between_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_between_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
