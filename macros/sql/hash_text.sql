{# SHA-256 of a text's UTF-8 bytes, 64 lower-case hex digits. #}
{% macro hash_text(text) -%}
    {{ return(adapter.dispatch('hash_text', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default__hash_text(text) -%}
    sha2({{ text }}, 256)
{%- endmacro %}

{% macro duckdb__hash_text(text) -%}
    sha256({{ text }})
{%- endmacro %}
