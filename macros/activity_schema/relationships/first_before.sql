{% macro first_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
