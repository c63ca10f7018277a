{#
    The functions behind masking on Snowflake: the very modules that Python runs where a record is
    born, so that text and documents are redacted alike everywhere. Python, since SQL cannot walk a
    document.
    https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-creating
#}
{% macro _redaction_functions_sql() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set functions = [] -%}
    {%- for name, argument, returned, handler in [
        (names.redact, 'document variant', 'variant', 'redact_value'),
        (names.redact_text, 'text varchar', 'varchar', 'redact_text'),
    ] -%}
        {%- set sql -%}
    create or replace function {{ name }}({{ argument }})
    returns {{ returned }}
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact'
    as $$
{{ cdesk.redaction_python() }}

def redact(value):
    return None if value is None else {{ handler }}(value, personal=True)
$$
        {%- endset -%}
        {%- do functions.append(sql) -%}
    {%- endfor -%}
    {{ return(functions) }}
{%- endmacro %}
