{% macro aggregate_at_or_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_at_or_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
