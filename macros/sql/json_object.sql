{#
    JSON text of an object, its keys in the order given (a native object would sort them on one
    engine and not on the other). `pairs` is a list of [key, SQL expression that yields JSON text].
#}
{% macro json_object(pairs) -%}
    '{' {% for key, value in pairs -%}
        || '{{ "," if not loop.first }}"{{ key }}":' || {{ value }}
    {% endfor -%} || '}'
{%- endmacro %}
