{#
    The time of a build in UTC: `utc_now`, unless the var `cdesk__now` moves the clock (tests,
    backfills).
#}
{% macro cdesk_now() -%}
    {%- set moved = var('cdesk__now', none) -%}
    {%- if moved is none -%}
        {{ cdesk.utc_now() }}
    {%- else -%}
        {%- set instant = modules.datetime.datetime.fromisoformat(moved | string) -%}
        {%- set text = instant.replace(tzinfo=none).isoformat(sep=' ', timespec='microseconds') -%}
        cast('{{ text }}' as {{ dbt.type_timestamp() }})
    {%- endif -%}
{%- endmacro %}
