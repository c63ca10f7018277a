{#
    The branch of `rejection` for a line whose loader may not name its customer; reads `is_foreign`
    of `landed_lines`. Empty on an engine without loaders.
#}
{% macro foreign_line() -%}
    {{ return(adapter.dispatch('foreign_line', 'cdesk')()) }}
{%- endmacro %}

{% macro default__foreign_line() -%}
{%- endmacro %}

{% macro snowflake__foreign_line() -%}
        when is_foreign then 'foreign_customer: customer'
{%- endmacro %}
