{#
    The first or nth row of a span without a beginning, the last one of a span without an end: the
    same for all of a customer's cohort rows, if it qualifies at all. The first row before t is the
    first ever if that is before t; likewise the nth, and the last after.
#}
{% macro _as_one_a_customer(plan, previous) -%}
{%- set last = plan.pick == 'last' -%}
{%- set bound = plan.low if last else plan.high -%}
{%- set on = cdesk._as_same(plan, 'c', 'a')
    ~ (' and ' ~ cdesk._as_bound_sql(bound, 'a._ts') if bound else '') -%}
append_{{ plan.index }} as (
    select *
    from append_{{ plan.index }}_rows
    {{ cdesk._as_extreme_row(plan, last) }}
),

{{ cdesk._as_step(plan, previous, on) }}
{%- endmacro %}

{# The condition on a customer's last row, or first or nth one. #}
{% macro _as_extreme_row(plan, last) -%}
    {% set position = cdesk._as_position(plan) %}
    {% if plan.stored %}
        {{ return('where ' ~ ('_next_ts is null' if last else '_occurrence = ' ~ position)) }}
    {% endif %}
    {% set over = cdesk._as_over(plan) %}
    {{ return(
        'qualify ' ~ ('lead(_ts) ' ~ over ~ ' is null' if last
                      else 'row_number() ' ~ over ~ ' = ' ~ position)
    ) }}
{%- endmacro %}
