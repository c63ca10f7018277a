{#
    A percentile of a number within its group, interpolated: `share` from 0 to 1. Null where the
    group has no value.
#}
{% macro percentile(share, expression) -%}
    {%- if share < 0 or share > 1 -%}
        {{ exceptions.raise_compiler_error("percentile: share " ~ share ~ " is not from 0 to 1") }}
    {%- endif -%}
    percentile_cont({{ share }}) within group (order by {{ expression }})
{%- endmacro %}
