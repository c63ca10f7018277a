{% macro last_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}
