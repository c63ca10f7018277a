{# Conditions or filters of which one has to hold. #}
{% macro any_of(items) -%}
    {% do cdesk._as_check_arguments('any_of', ['items'], kwargs, varargs, [items]) %}
    {{ return({'kind': 'group', 'word': 'or', 'items': items}) }}
{%- endmacro %}
