{# Text as a 64-bit integer, else null. #}
{% macro try_bigint(text) -%}
    {{ return(adapter.dispatch('try_bigint', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default__try_bigint(text) -%}
    cast(try_to_number({{ text }}, 38, 0) as bigint)
{%- endmacro %}

{% macro duckdb__try_bigint(text) -%}
    try_cast({{ text }} as bigint)
{%- endmacro %}
