{# The seconds from one instant to a later one, with their fraction. #}
{% macro _as_seconds(earlier, later) -%}
    {{ return('(' ~ dbt.datediff(earlier, later, 'microsecond') | trim ~ ' / 1000000.0)') }}
{%- endmacro %}
