{#
    The later of two timestamps of which either may be null (`greatest` is null then on one engine,
    and not on the other).
#}
{% macro later(one, other) -%}
    case when {{ one }} is null or {{ other }} > {{ one }} then {{ other }} else {{ one }} end
{%- endmacro %}
