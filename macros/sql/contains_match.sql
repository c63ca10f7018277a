{# Whether a POSIX pattern matches somewhere in the text. #}
{% macro contains_match(text, pattern) -%}
    {{ return(adapter.dispatch('contains_match', 'cdesk')(text, pattern)) }}
{%- endmacro %}

{% macro default__contains_match(text, pattern) -%}
    regexp_instr({{ text }}, '{{ pattern }}') > 0
{%- endmacro %}

{% macro duckdb__contains_match(text, pattern) -%}
    regexp_matches({{ text }}, '{{ pattern }}')
{%- endmacro %}
