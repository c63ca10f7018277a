{#
    A condition on one row: a value, an operator, and what it is compared with: a literal of the
    value's type, a list of them (`in`, `not in`, `between`), or another value of the same row.
#}
{% macro filter(value, operator, operand=none) -%}
    {% do cdesk._as_check_arguments(
        'filter', ['value', 'operator', 'operand'],
        kwargs, varargs, [value, operator],
    ) %}
    {{ return({'kind': 'filter', 'value': value, 'operator': operator, 'operand': operand}) }}
{%- endmacro %}
