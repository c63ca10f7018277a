{#
    A clock time of the person's time zone (the bound `timezone`) as a timestamp in UTC.
#}
{% macro from_local(timestamp) -%}
    {{ return(adapter.dispatch('from_local', 'cdesk')(timestamp)) }}
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/convert_timezone #}
{% macro default__from_local(timestamp) -%}
    convert_timezone({{ cdesk.bind_as('timezone', 'varchar') }}, 'UTC', {{ timestamp }})
{%- endmacro %}

{% macro duckdb__from_local(timestamp) -%}
    timezone('UTC', timezone({{ cdesk.bind_as('timezone', 'varchar') }}, {{ timestamp }}))
{%- endmacro %}
