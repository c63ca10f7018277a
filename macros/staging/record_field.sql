{#
    A field of a record of `kind`, typed by the rule of its contract: timestamps and numbers as
    such, objects, arrays and scalars of any type as JSON, anything else as text. Reads the column
    `fields` of `landed_records`.
#}
{% macro record_field(kind, field) -%}
    {%- set rules = cdesk.record_fields(kind) -%}
    {%- do cdesk._check_one_of('record_field', 'field', field, rules) -%}
    {%- set rule = rules[field] | replace(' or null', '') -%}
    {%- set value = cdesk.json_field('fields', rules | list, field) -%}
    {%- set text = cdesk.json_text(value) -%}
    {%- if rule in ['object', 'array', 'scalar'] -%}
        {{ value }}
    {%- elif rule == 'timestamp' -%}
        {{ cdesk.try_timestamp(text) }}
    {%- elif rule == 'number' -%}
        {{ cdesk.try_double(text) }}
    {%- elif rule == 'count' -%}
        {{ cdesk.try_bigint(text) }}
    {%- elif rule == 'boolean' -%}
        {{ text }} = 'true'
    {%- else -%}
        {{ text }}
    {%- endif -%}
{%- endmacro %}
