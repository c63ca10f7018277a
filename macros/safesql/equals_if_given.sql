{# Whether a text column equals an optional parameter; true where the caller leaves it out. #}
{% macro equals_if_given(column, name) -%}
    {%- set value = cdesk.bind_as(name, 'varchar') -%}
    ({{ value }} is null or {{ column }} = {{ value }})
{%- endmacro %}
