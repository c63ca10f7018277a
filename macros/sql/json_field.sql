{#
    The JSON value of one of the `names` that `json_fields` read into `fields`; null where the
    object has no such field.
#}
{% macro json_field(fields, names, name) -%}
    {%- do cdesk._check_one_of('json_field', 'name', name, names) -%}
    {{ return(adapter.dispatch('json_field', 'cdesk')(fields, names, name)) }}
{%- endmacro %}

{% macro default__json_field(fields, names, name) -%}
    get({{ fields }}, '{{ name }}')
{%- endmacro %}

{% macro duckdb__json_field(fields, names, name) -%}
    {{ fields }}[{{ names.index(name) + 1 }}]
{%- endmacro %}
