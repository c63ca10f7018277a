{# Conditions or filters of which one has to hold. #}
{% macro any_of(items) -%}
    {{ return({'kind': 'group', 'word': 'or', 'items': items}) }}
{%- endmacro %}
