{#
    Whether a JSON value is of a type: string, integer, number (an integer is one), boolean, null,
    object, array. False where there is no value at all.
#}
{% macro json_is(value, type) -%}
    {%- set known = ['string', 'integer', 'number', 'boolean', 'null', 'object', 'array'] -%}
    {%- do cdesk._check_one_of('json_is', 'type', type, known) -%}
    {{ return(adapter.dispatch('json_is', 'cdesk')(value, type)) }}
{%- endmacro %}

{#
    An integer may be called DECIMAL; its text tells: no fraction, no exponent.
    https://docs.snowflake.com/en/sql-reference/functions/typeof
#}
{% macro default__json_is(value, type) -%}
    {%- set names = {
        'string': ['VARCHAR'], 'boolean': ['BOOLEAN'], 'integer': ['INTEGER'],
        'number': ['INTEGER', 'DECIMAL', 'DOUBLE'],
        'null': ['NULL_VALUE'], 'object': ['OBJECT'], 'array': ['ARRAY'],
    } -%}
    {%- if type == 'integer' %}
    coalesce(
        typeof({{ value }}) = 'INTEGER'
        or (
            typeof({{ value }}) = 'DECIMAL'
            and {{ cdesk.matches('cast(' ~ value ~ ' as varchar)', '-?[0-9]+') }}
        ),
        false
    )
    {%- else %}
    coalesce(typeof({{ value }}) in ('{{ names[type] | join("', '") }}'), false)
    {%- endif %}
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
