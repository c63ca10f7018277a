{% macro last_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}
