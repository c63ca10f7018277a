{# Text as a finite double, else null. #}
{% macro try_double(text) -%}
    {{ return(adapter.dispatch('try_double', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default__try_double(text) -%}
    nullif(nullif(nullif(try_to_double({{ text }}), 'inf'::float), '-inf'::float), 'nan'::float)
{%- endmacro %}

{% macro duckdb__try_double(text) -%}
    case when isfinite(try_cast({{ text }} as double)) then try_cast({{ text }} as double) end
{%- endmacro %}
