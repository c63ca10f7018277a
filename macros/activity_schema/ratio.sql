{# One aggregate divided by another, as a double; null where the second is 0 or null. #}
{% macro ratio(numerator, denominator, as=none) -%}
    {% do cdesk._as_check_arguments(
        'ratio', ['numerator', 'denominator', 'as'],
        kwargs, varargs, [numerator, denominator],
    ) %}
    {{ return({
        'kind': 'ratio', 'numerator': numerator, 'denominator': denominator, 'as': as,
    }) }}
{%- endmacro %}
