{# One aggregate divided by another, as a double; null where the second is 0 or null. #}
{% macro ratio(numerator, denominator, as=none) -%}
    {{ return({
        'kind': 'ratio', 'numerator': numerator, 'denominator': denominator, 'as': as,
    }) }}
{%- endmacro %}
