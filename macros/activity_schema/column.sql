{# A column of the stream under another output name. A plain string does where the default does. #}
{% macro column(name, as=none) -%}
    {{ return({'kind': 'column', 'column': name, 'as': as}) }}
{%- endmacro %}
