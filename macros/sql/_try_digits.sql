{# Text of a number as a decimal of 38 digits without places, else null. #}
{% macro _try_digits(text) -%}
    {{ return(adapter.dispatch('_try_digits', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default___try_digits(text) -%}
    try_cast({{ text }} as decimal(38, 0))
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/try_to_decimal #}
{% macro snowflake___try_digits(text) -%}
    try_to_number({{ text }}, 38, 0)
{%- endmacro %}
