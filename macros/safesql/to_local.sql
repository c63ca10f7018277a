{#
    A timestamp in UTC as the clock showed it in the person's time zone: the bound `timezone`, which
    every template has that binds it. What is made of it (a day, an hour) goes back by `from_local`.
#}
{% macro to_local(timestamp) -%}
    {{ return(adapter.dispatch('to_local', 'cdesk')(timestamp)) }}
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/convert_timezone #}
{% macro default__to_local(timestamp) -%}
    convert_timezone('UTC', {{ cdesk.bind_as('timezone', 'varchar') }}, {{ timestamp }})
{%- endmacro %}

{% macro duckdb__to_local(timestamp) -%}
    timezone({{ cdesk.bind_as('timezone', 'varchar') }}, timezone('UTC', {{ timestamp }}))
{%- endmacro %}
