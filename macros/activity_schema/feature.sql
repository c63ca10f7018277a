{# A top-level key of feature_json, read as a type; what isn't of that type reads as null. #}
{% macro feature(key, type='string', as=none) -%}
    {{ return({'kind': 'feature', 'key': key, 'type': type, 'as': as}) }}
{%- endmacro %}
