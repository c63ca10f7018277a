{% macro aggregate_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}
