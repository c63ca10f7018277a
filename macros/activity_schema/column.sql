{# A column of the stream under another output name. A plain string does where the default does. #}
{% macro column(name, as=none) -%}
    {% do cdesk._as_check_arguments('column', ['name', 'as'], kwargs, varargs, [name]) %}
    {{ return({'kind': 'column', 'column': name, 'as': as}) }}
{%- endmacro %}
