{# Conditions or filters that all have to hold, as one item of an `any_of`. #}
{% macro all_of(items) -%}
    {{ return({'kind': 'group', 'word': 'and', 'items': items}) }}
{%- endmacro %}
