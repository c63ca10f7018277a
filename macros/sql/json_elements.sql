{#
    One row per element of a JSON array column: `from <relation>` with the element as `<alias>.element`. The relation is aliased as given.
#}
{% macro json_elements(relation, column, alias='elements') -%}
    {{ return(adapter.dispatch('json_elements', 'cdesk')(relation, column, alias)) }}
{%- endmacro %}

{% macro default__json_elements(relation, column, alias) -%}
    from {{ relation }}, lateral (select flattened.value as element from table(flatten(input => {{ relation }}.{{ column }})) as flattened) as {{ alias }}
{%- endmacro %}

{% macro duckdb__json_elements(relation, column, alias) -%}
    from {{ relation }}, unnest(cast({{ relation }}.{{ column }} as json[])) as {{ alias }} (element)
{%- endmacro %}
