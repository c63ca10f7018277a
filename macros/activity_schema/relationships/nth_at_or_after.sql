{% macro nth_at_or_after(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_at_or_after', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}
