{#
    Whether a customer is under legal hold: SQL, false where the engine keeps no list of them. On
    Snowflake a row in `legal_holds` says so; only the pipeline reads that table.
#}
{% macro customer_is_held(customer) -%}
    {{ return(adapter.dispatch('customer_is_held', 'cdesk')(customer)) }}
{%- endmacro %}

{% macro default__customer_is_held(customer) -%}
    false
{%- endmacro %}

{% macro snowflake__customer_is_held(customer) -%}
    {%- set names = cdesk._snowflake_names() -%}
    lower({{ customer }}) in (
        select lower(held.customer) from {{ names.holds }} as held where held.customer is not null
    )
{%- endmacro %}
