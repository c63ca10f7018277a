{# An output column of the cohort or of an earlier append, for the conditions of a later one. #}
{% macro output(name) -%}
    {{ return({'kind': 'output', 'name': name, 'as': none}) }}
{%- endmacro %}
