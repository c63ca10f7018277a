{% macro first_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}
