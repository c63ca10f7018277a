{#
    The start of the hour, day, week (Monday) or month that a timestamp lies in, on its own clock.
    Which of them is itself a value: a bind, or a column.
#}
{% macro truncate_to(timestamp, period) -%}
    case {{ period }}
    {%- for part in ['hour', 'day', 'week', 'month'] %}
        when '{{ part }}' then {{ dbt.date_trunc(part, timestamp) }}
    {%- endfor %}
    end
{%- endmacro %}
