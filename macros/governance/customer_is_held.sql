{#
    Whether a customer is under legal hold: SQL. A row in `legal_holds` says so (macro
    `legal_hold`), whatever its case; on Snowflake only the pipeline reads that table.
#}
{% macro customer_is_held(customer) -%}
    lower({{ customer }}) in (
        select lower(held.customer)
        from {{ cdesk._in_schema('legal_holds') }} as held
        where held.customer is not null
    )
{%- endmacro %}
