{% macro aggregate_all_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_all_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}
