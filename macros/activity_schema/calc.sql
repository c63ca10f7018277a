{#
    Arithmetic on values of one row: `+`, `-`, `*`, `/` of numbers; a timestamp plus or minus
    `cdesk.interval(…)`; two timestamps, whose difference is in seconds. A division by 0 is null.
#}
{% macro calc(left, operator, right, as=none) -%}
    {% do cdesk._as_check_arguments(
        'calc', ['left', 'operator', 'right', 'as'],
        kwargs, varargs, [left, operator, right],
    ) %}
    {{ return({'kind': 'calc', 'left': left, 'operator': operator, 'right': right, 'as': as}) }}
{%- endmacro %}
