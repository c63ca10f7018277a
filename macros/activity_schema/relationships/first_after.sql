{% macro first_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}
