{% macro last_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}
