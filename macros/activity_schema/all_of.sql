{# Conditions or filters that all have to hold, as one item of an `any_of`. #}
{% macro all_of(items) -%}
    {% do cdesk._as_check_arguments('all_of', ['items'], kwargs, varargs, [items]) %}
    {{ return({'kind': 'group', 'word': 'and', 'items': items}) }}
{%- endmacro %}
