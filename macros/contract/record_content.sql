{#
    A record's content as text, to tell whether an id came again with other content: its fields in a
    fixed order, all but `source_system`, which an import stamps anew. `fields` is a column made by
    `json_fields(payload, names)`.
#}
{% macro record_content(fields, names) -%}
    {{ return(adapter.dispatch('record_content', 'cdesk')(fields, names)) }}
{%- endmacro %}

{# No JSON text holds a bare control character, so that the fields can't run into one another. #}
{% macro default__record_content(fields, names) -%}
    {%- set texts = [] -%}
    {%- for name in names if name != 'source_system' -%}
        {%- set text = cdesk.json_compact(cdesk.json_field(fields, names, name)) -%}
        {%- do texts.append("coalesce(" ~ text ~ ", '')") -%}
    {%- endfor -%}
    {{ texts | join(' || chr(31) || ') }}
{%- endmacro %}

{% macro duckdb__record_content(fields, names) -%}
    {%- set place = names.index('source_system') -%}
    cast(list_concat({{ fields }}[:{{ place }}], {{ fields }}[{{ place + 2 }}:]) as varchar)
{%- endmacro %}
