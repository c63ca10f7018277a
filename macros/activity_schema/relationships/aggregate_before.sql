{% macro aggregate_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
