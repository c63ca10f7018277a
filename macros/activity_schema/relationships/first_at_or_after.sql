{% macro first_at_or_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_at_or_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}
