{#
    The end of a template: its order, and as many rows as the bound parameter says. Snowflake wants
    a constant after `limit` (https://docs.snowflake.com/en/sql-reference/constructs/limit), hence
    the row number there.
#}
{% macro first_rows(order_by, name='limit') -%}
    {{ return(adapter.dispatch('first_rows', 'cdesk')(order_by, name)) }}
{%- endmacro %}

{% macro default__first_rows(order_by, name) -%}
    order by {{ order_by }}
    limit {{ cdesk.bind(name) }}
{%- endmacro %}

{% macro snowflake__first_rows(order_by, name) -%}
    qualify row_number() over (order by {{ order_by }}) <= {{ cdesk.bind_as(name, 'integer') }}
    order by {{ order_by }}
{%- endmacro %}
