{#
    Whether a JSON value is of a type: string, integer, number (an integer is one), boolean, null,
    object, array. False where there is no value at all.
#}
{% macro json_is(value, type) -%}
    {%- set known = ['string', 'integer', 'number', 'boolean', 'null', 'object', 'array'] -%}
    {%- do cdesk._check_one_of('json_is', 'type', type, known) -%}
    {{ return(adapter.dispatch('json_is', 'cdesk')(value, type)) }}
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/typeof #}
{% macro default__json_is(value, type) -%}
    {%- set names = {
        'string': ['VARCHAR'], 'boolean': ['BOOLEAN'], 'integer': ['INTEGER'],
        'number': ['INTEGER', 'DECIMAL', 'DOUBLE'],
        'null': ['NULL_VALUE'], 'object': ['OBJECT'], 'array': ['ARRAY'],
    } -%}
    coalesce(typeof({{ value }}) in ('{{ names[type] | join("', '") }}'), false)
{%- endmacro %}

{#
    https://duckdb.org/docs/stable/data/json/json_functions; an integer beyond 64 bits is DOUBLE
    there.
#}
{% macro duckdb__json_is(value, type) -%}
    {%- set names = {
        'string': ['VARCHAR'], 'boolean': ['BOOLEAN'], 'integer': ['BIGINT', 'UBIGINT'],
        'number': ['BIGINT', 'UBIGINT', 'DOUBLE'],
        'null': ['NULL'], 'object': ['OBJECT'], 'array': ['ARRAY'],
    } -%}
    coalesce(json_type({{ value }}) in ('{{ names[type] | join("', '") }}'), false)
{%- endmacro %}
