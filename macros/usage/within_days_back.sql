{# The condition that a timestamp lies within the bound `days_back`. #}
{% macro within_days_back(timestamp) -%}
    {{ timestamp }} >= {{ cdesk.time_back('day', 'days_back') }}
{%- endmacro %}
