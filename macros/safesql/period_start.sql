{#
    When the person's hour, day, week (from Monday) or month began that a timestamp in UTC lies in,
    in UTC. Which of them is itself a value: a bind, or a column. An hour goes by its minutes, so
    that the two that the clock shows in autumn stay two.
#}
{% macro period_start(timestamp, period) -%}
    {%- set local = cdesk.to_local(timestamp) -%}
    case {{ period }}
        when 'hour'
            then {{ dbt.dateadd(
                'minute', '-1 * cast(extract(minute from ' ~ local ~ ') as integer)',
                dbt.date_trunc('minute', timestamp)
            ) }}
    {%- for part in ['day', 'week', 'month'] %}
        when '{{ part }}' then {{ cdesk.from_local(dbt.date_trunc(part, local)) }}
    {%- endfor %}
    end
{%- endmacro %}
