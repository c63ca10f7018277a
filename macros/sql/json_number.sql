{# A key of an object column as double; null where it is none. #}
{% macro json_number(column, key) -%}
    {{ cdesk.try_double(cdesk.json_string(column, key)) }}
{%- endmacro %}
