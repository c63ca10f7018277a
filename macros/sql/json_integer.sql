{# A key of an object column as 64-bit integer; null where it is none. #}
{% macro json_integer(column, key) -%}
    {{ cdesk.try_bigint(cdesk.json_string(column, key)) }}
{%- endmacro %}
