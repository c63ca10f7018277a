{# JSON text of an object of (text, JSON text) pairs, ordered by key; `{}` where there are none. An aggregate. #}
{% macro json_object_agg(key, value) -%}
    '{' || coalesce({{ dbt.listagg(cdesk.json_quote(key) ~ " || ':' || " ~ value, "','", "order by " ~ key) }}, '') || '}'
{%- endmacro %}
