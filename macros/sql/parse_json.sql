{# Text that is known to be JSON as a JSON value. #}
{% macro parse_json(text) -%}
    {{ return(adapter.dispatch('parse_json', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default__parse_json(text) -%}
    parse_json({{ text }})
{%- endmacro %}

{% macro duckdb__parse_json(text) -%}
    cast({{ text }} as json)
{%- endmacro %}
