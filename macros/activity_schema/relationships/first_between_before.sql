{% macro first_between_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_between_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
