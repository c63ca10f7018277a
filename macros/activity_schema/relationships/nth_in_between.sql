{% macro nth_in_between(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_in_between', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
