{# The start of the day, week (Monday) or month, whichever is bound as `period`, in which a timestamp lies. #}
{% macro bound_period_start(column) -%}
case {{ cdesk.bind('period') }}
            when 'day' then {{ dbt.date_trunc('day', column) }}
            when 'week' then {{ dbt.date_trunc('week', column) }}
            else {{ dbt.date_trunc('month', column) }}
        end
{%- endmacro %}
