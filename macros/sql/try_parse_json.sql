{# Text as a JSON value; null where it is no JSON. #}
{% macro try_parse_json(text) -%}
    {{ return(adapter.dispatch('try_parse_json', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default__try_parse_json(text) -%}
    try_parse_json({{ text }})
{%- endmacro %}

{% macro duckdb__try_parse_json(text) -%}
    try_cast({{ text }} as json)
{%- endmacro %}
