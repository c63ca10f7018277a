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
    {%- do functions.append(cdesk._redact_json_text_sql()) -%}
    {{ return(functions) }}
{%- endmacro %}

{#
    A document that is text stays the text that it was but for what is redacted: a VARIANT would
    order its keys anew and keep 38 digits of a number at most.
    https://docs.snowflake.com/en/sql-reference/data-types-semistructured
#}
{% macro _redact_json_text_sql() -%}
    {%- set names = cdesk._snowflake_names() %}
    create or replace function {{ names.redact_json_text }}(text varchar)
    returns varchar
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact_json'
    as $$
{{ cdesk.redaction_python() }}

class Digits(float):
    """A number with the digits that it was written with."""


def number(text):
    made = Digits(text)
    made.text = text
    return made


def written(value):
    if isinstance(value, dict):
        return "{" + ",".join(written(key) + ":" + written(value[key]) for key in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, Digits):
        return value.text
    return json.dumps(value, ensure_ascii=False)


def redact_json(text):
    if text is None:
        return None
    try:
        document = json.loads(text, parse_float=number)
    except (ValueError, RecursionError):
        return '"[unreadable]"'
    return written(redact_value(document, personal=True))
$$
{%- endmacro %}
