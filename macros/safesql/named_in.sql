{# Whether a name stands in a bound text that holds names between commas, as `,a,b,`. #}
{% macro named_in(expression, name) -%}
    contains({{ cdesk.bind_as(name, 'varchar') }}, ',' || {{ expression }} || ',')
{%- endmacro %}
