{% macro aggregate_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}
