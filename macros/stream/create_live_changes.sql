{#
    On DuckDB a table macro of the query `live_changes`, so that whoever keeps a copy of the tables
    for questions can work out what to show beyond them, by this project's own SQL
    (cdesk/warehouse/read_copy.py). Nothing elsewhere.
#}
{% macro create_live_changes() -%}
    {{ return(adapter.dispatch('create_live_changes', 'cdesk')()) }}
{%- endmacro %}

{% macro default__create_live_changes() -%}
    {{ return('') }}
{%- endmacro %}

{% macro duckdb__create_live_changes() -%}
    create or replace macro {{ this.include(identifier=false) }}.live_changes() as table
    {{ cdesk.live_changes() }}
{%- endmacro %}
