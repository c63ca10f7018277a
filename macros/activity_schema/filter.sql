{#
    A condition on one row: a value, an operator, and what it is compared with: a literal of the
    value's type, a list of them (`in`, `not in`, `between`), or another value of the same row.
#}
{% macro filter(value, operator, operand=none) -%}
    {{ return({'kind': 'filter', 'value': value, 'operator': operator, 'operand': operand}) }}
{%- endmacro %}
