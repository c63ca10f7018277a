{#
    The appended row is at most so far from the cohort row, the limit included: after it in
    `…_after` and `…_in_between`, before it in `…_before`, either way in `…_ever`. `at_least` sets
    the nearest distance, so that "between one and seven days after" is one condition.
#}
{% macro within(amount, unit, at_least=none) -%}
    {% do cdesk._as_check_arguments(
        'within', ['amount', 'unit', 'at_least'],
        kwargs, varargs, [amount, unit],
    ) %}
    {% set far = cdesk.interval(amount, unit) %}
    {% if at_least is not none and (at_least is not mapping or at_least.kind != 'interval') %}
        {% do cdesk._as_raise('within', 'at_least', at_least, 'cdesk.interval(…)') %}
    {% endif %}
    {{ return({'kind': 'within', 'far': far, 'near': at_least}) }}
{%- endmacro %}
