{#
    The smallest key (`compact_key`) of an id that was made within a day before `since`, SQL of a
    timestamp, or later. An id begins with the time at which it was made; one that doesn't, of an
    import, may stand on either side.
    https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
#}
{% macro first_fresh_key(since) -%}
    {{ return(adapter.dispatch('first_fresh_key', 'cdesk')(since)) }}
{%- endmacro %}

{# Of a literal; of anything else one that makes every id fresh. #}
{% macro default__first_fresh_key(since) -%}
    {%- set datetime = modules.datetime.datetime -%}
    {%- set at = modules.re.search("[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:]{8}", since) -%}
    {%- set seconds = (
        (datetime.fromisoformat(at.group()) - datetime(1970, 1, 2)).total_seconds() if at else 0
    ) -%}
    {%- set head = '%012x' | format([seconds | int, 0] | max * 1000) -%}
    '{{ head[:8] }}-{{ head[8:] }}-0000-0000-000000000000'
{%- endmacro %}

{% macro duckdb__first_fresh_key(since) -%}
    {%- set milliseconds = 'greatest(epoch_ms(' ~ since ~ ') - 86400000, 0)' -%}
    cast(
        printf('%08x', {{ milliseconds }} >> 16)
        || printf('-%04x-0000-0000-000000000000', {{ milliseconds }} & 65535) as uuid
    )
{%- endmacro %}
