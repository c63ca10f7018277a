{% macro aggregate_between_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_between_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
