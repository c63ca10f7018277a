{#
    A `from` clause with one row per element of a JSON array column of `relation` (a CTE): its
    columns, and `elements.element` and `elements.position` (from 0). Rows with an empty array give
    none.
#}
{% macro json_elements(relation, column) -%}
    {{ return(adapter.dispatch('json_elements', 'cdesk')(relation, column)) }}
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/flatten #}
{% macro default__json_elements(relation, column) -%}
    from (
        select
            exploded.*,
            flattened.value as element,
            flattened.index as position
        from
            {{ relation }} as exploded,
            lateral flatten(input => exploded.{{ column }}) as flattened
    ) as elements
{%- endmacro %}

{% macro duckdb__json_elements(relation, column) -%}
    from (
        select
            exploded.*,
            unnested.element,
            unnested.position - 1 as position
        from
            {{ relation }} as exploded,
            unnest(cast(exploded.{{ column }} as json[]))
                with ordinality as unnested (element, position)
    ) as elements
{%- endmacro %}
