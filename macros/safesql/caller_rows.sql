{#
    The rows that the caller may see in a template of scope `caller`: an analyst all of them, a user
    the own ones. Both binds come from the caller's identity, never from an argument. A row without
    a customer is an analyst's only.
#}
{% macro caller_rows(column) -%}
    ({{ column }} = {{ cdesk.bind('customer') }} or {{ cdesk.bind_as('is_analyst', 'boolean') }})
{%- endmacro %}
