{#
    The time of the statement in UTC, a timestamp without zone: SQL, not a literal of compile time.
#}
{% macro utc_now() -%}
    {{ return(adapter.dispatch('utc_now', 'cdesk')()) }}
{%- endmacro %}

{#
    https://docs.snowflake.com/en/sql-reference/functions/sysdate: UTC, whatever the session's time
    zone.
#}
{% macro default__utc_now() -%}
    sysdate()
{%- endmacro %}

{% macro duckdb__utc_now() -%}
    (now() at time zone 'UTC')
{%- endmacro %}
