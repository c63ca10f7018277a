{#
    The columns of an enforced contract with the engine's own types. A contract is written once, in
    DuckDB's types; Snowflake has no JSON type (VARIANT holds it), and its `timestamp` means what a
    session parameter says.
#}
{% macro native_columns(columns) -%}
    {{ return(adapter.dispatch('native_columns', 'cdesk')(columns)) }}
{%- endmacro %}

{% macro default__native_columns(columns) -%}
    {{ return(columns) }}
{%- endmacro %}

{% macro snowflake__native_columns(columns) -%}
    {%- set types = {
        'json': 'variant', 'timestamp': 'timestamp_ntz', 'double': 'float',
        'bigint': 'number(38, 0)',
    } -%}
    {%- set native = {} -%}
    {%- for name, column in columns.items() -%}
        {%- set typed = dict(column) -%}
        {%- do typed.update({'data_type': types.get(column['data_type'], column['data_type'])}) -%}
        {%- do native.update({name: typed}) -%}
    {%- endfor -%}
    {{ return(native) }}
{%- endmacro %}
