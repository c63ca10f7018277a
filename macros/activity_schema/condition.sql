{# A condition between a value of the appended row and a value of the cohort row. #}
{% macro condition(append_value, operator, cohort_value) -%}
    {% do cdesk._as_check_arguments(
        'condition', ['append_value', 'operator', 'cohort_value'],
        kwargs, varargs, [append_value, operator, cohort_value],
    ) %}
    {{ return({
        'kind': 'condition', 'append': append_value, 'operator': operator, 'cohort': cohort_value,
    }) }}
{%- endmacro %}
