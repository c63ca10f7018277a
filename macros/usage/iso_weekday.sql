{# The day of the week of a timestamp, 1 for Monday to 7 for Sunday. #}
{% macro iso_weekday(timestamp) -%}
    {%- set monday = "cast('1900-01-01' as date)" -%}
    mod({{ dbt.datediff(monday, 'cast(' ~ timestamp ~ ' as date)', 'day') }}, 7) + 1
{%- endmacro %}
