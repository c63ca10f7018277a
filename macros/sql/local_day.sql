{#
    The start of the day that a timestamp in UTC lies in, by the clock of the time zone that figures
    by day go by: the var `cdesk__timezone`, else the setting CDESK_TIMEZONE. It is part of the
    configuration of a project, no value of a caller; a template binds the person's (`to_local`).
#}
{% macro local_day(timestamp) -%}
    {%- set zone = var('cdesk__timezone', none) or env_var('CDESK_TIMEZONE', 'UTC') -%}
    {%- if not modules.re.fullmatch('[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}', zone) -%}
        {{ exceptions.raise_compiler_error(
            "local_day: '" ~ zone ~ "' is no time zone; allowed: a name of the IANA time zone "
            ~ "database, as Europe/Berlin"
        ) }}
    {%- endif -%}
    {%- if zone == 'UTC' -%}
        {{ dbt.date_trunc('day', timestamp) }}
    {%- else -%}
        {{ dbt.date_trunc('day', adapter.dispatch('local_day', 'cdesk')(timestamp, zone)) }}
    {%- endif -%}
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/convert_timezone #}
{% macro default__local_day(timestamp, zone) -%}
    convert_timezone('UTC', '{{ zone }}', {{ timestamp }})
{%- endmacro %}

{% macro duckdb__local_day(timestamp, zone) -%}
    timezone('{{ zone }}', timezone('UTC', {{ timestamp }}))
{%- endmacro %}
