{# Whether two rows are about one activity: of one customer, at one instant, with one id. #}
{% macro same_activity(one, other) -%}
    {{ one }}.customer = {{ other }}.customer
            and {{ one }}.activity = {{ other }}.activity
            and {{ one }}.ts = {{ other }}.ts
            and {{ one }}._activity_id = {{ other }}._activity_id
{%- endmacro %}
