{# Text as a 64-bit integer, else null. #}
{% macro try_bigint(text) -%}
    {{ return(adapter.dispatch('try_bigint', 'cdesk')(text)) }}
{%- endmacro %}

{# Snowflake's bigint is number(38, 0): what doesn't fit into 64 bits has to be told. #}
{% macro default__try_bigint(text) -%}
    case
        when try_to_number({{ text }}, 38, 0) between -9223372036854775808 and 9223372036854775807
            then cast(try_to_number({{ text }}, 38, 0) as bigint)
    end
{%- endmacro %}

{% macro duckdb__try_bigint(text) -%}
    try_cast({{ text }} as bigint)
{%- endmacro %}
