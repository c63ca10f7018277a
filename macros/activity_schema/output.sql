{# An output column of the cohort or of an earlier append, for the conditions of a later one. #}
{% macro output(name) -%}
    {% do cdesk._as_check_arguments('output', ['name'], kwargs, varargs, [name]) %}
    {{ return({'kind': 'output', 'name': name, 'as': none}) }}
{%- endmacro %}
