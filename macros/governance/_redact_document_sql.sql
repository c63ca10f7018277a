{#
    The function behind the masking of documents: at any depth, the value of a sensitive key becomes
    '[masked]', and what `pii_patterns` find in a text becomes what it was. Python, since SQL cannot
    walk a document; the same text is run by our tests.
    https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-creating
#}
{% macro _redact_document_sql() -%}
    {%- set names = cdesk._snowflake_names() -%}
    create or replace function {{ names.redact }}(document variant)
    returns variant
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact'
    as $$
{{ cdesk.redact_document_python() }}
$$
{%- endmacro %}

{# Patterns of the last words of a key. Not `tokens`: those are counted, not secret. #}
{% macro sensitive_keys() -%}
    {{ return(['passwords?', 'passwd', 'secrets?', 'token', 'api_?keys?', 'access_?keys?', 'private_?keys?', 'authorization', 'cookies?',
               'credentials?', 'ssn', 'iban', 'card_?numbers?', 'cvv', 'pin', 'e_?mails?', 'phones?', 'phone_?numbers?', 'mobile',
               'address', 'date_of_birth']) }}
{%- endmacro %}

{% macro redact_document_python() -%}
import re

SENSITIVE = re.compile(r"(^|_|-)({{ cdesk.sensitive_keys() | join('|') }})$", re.IGNORECASE)
PATTERNS = [
{%- for pattern, replacement in cdesk.pii_patterns() %}
    (re.compile(r"{{ pattern }}"), "{{ replacement }}"),
{%- endfor %}
]


def snake(key):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)


def redact(document):
    if isinstance(document, dict):
        return {
            key: "[masked]" if SENSITIVE.search(snake(key)) and value is not None else redact(value)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [redact(item) for item in document]
    if isinstance(document, str):
        for pattern, replacement in PATTERNS:
            document = pattern.sub(replacement, document)
    return document
{%- endmacro %}
