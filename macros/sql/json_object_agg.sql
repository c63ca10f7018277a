{#
    JSON text of an object of (text, JSON text) pairs, ordered by key; `{}` where there are none. An
    aggregate.
#}
{% macro json_object_agg(key, value) -%}
    {%- set pair = cdesk.json_quote(key) ~ " || ':' || " ~ value -%}
    '{' || coalesce({{ dbt.listagg(pair, "','", "order by " ~ key) }}, '') || '}'
{%- endmacro %}
