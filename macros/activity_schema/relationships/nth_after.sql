{% macro nth_after(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_after', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
