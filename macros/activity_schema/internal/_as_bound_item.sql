{# Item `position` (from 1) of a bound list; null beyond its end. #}
{% macro _as_bound_item(name, position) -%}
    {{ return(adapter.dispatch('_as_bound_item', 'cdesk')(name, position)) }}
{%- endmacro %}

{% macro default___as_bound_item(name, position) -%}
    list_extract(cast({{ cdesk.bind(name) }} as varchar[]), {{ position }})
{%- endmacro %}

{# Snowflake binds no lists; one is bound as JSON text. #}
{% macro snowflake___as_bound_item(name, position) -%}
    get(parse_json({{ cdesk.bind(name) }}), {{ position - 1 }})::varchar
{%- endmacro %}
