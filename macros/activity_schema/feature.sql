{#
    A top-level key of feature_json, read as a type; what isn't of that type reads as null. Without
    a type it is the registered one, else text.
#}
{% macro feature(key, type=none, as=none) -%}
    {% do cdesk._as_check_arguments('feature', ['key', 'type', 'as'], kwargs, varargs, [key]) %}
    {{ return({'kind': 'feature', 'key': key, 'type': type, 'as': as}) }}
{%- endmacro %}
