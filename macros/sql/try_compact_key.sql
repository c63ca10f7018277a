{#
    What `compact_key` makes of a text that may be no id: null then, where the engine compares
    another form.
#}
{% macro try_compact_key(id) -%}
    {{ return(adapter.dispatch('try_compact_key', 'cdesk')(id)) }}
{%- endmacro %}

{% macro default__try_compact_key(id) -%}
    {{ id }}
{%- endmacro %}

{% macro duckdb__try_compact_key(id) -%}
    try_cast({{ id }} as uuid)
{%- endmacro %}
