{# Text as a JSON string, or `null`. #}
{% macro json_quote(text) -%}
    coalesce({{ adapter.dispatch('json_quote', 'cdesk')(text) }}, 'null')
{%- endmacro %}

{% macro default__json_quote(text) -%}
    to_json(to_variant({{ text }}))
{%- endmacro %}

{% macro duckdb__json_quote(text) -%}
    cast(to_json({{ text }}) as varchar)
{%- endmacro %}
