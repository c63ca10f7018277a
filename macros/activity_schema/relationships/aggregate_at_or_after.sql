{% macro aggregate_at_or_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_at_or_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}
