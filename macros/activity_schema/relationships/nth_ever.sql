{% macro nth_ever(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_ever', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
