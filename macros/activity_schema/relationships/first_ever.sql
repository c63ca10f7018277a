{% macro first_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}
