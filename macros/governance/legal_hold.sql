{#
    Places a customer under legal hold, or lifts it: from then on retention and `erase` leave alone
    what is kept of them, and their stored results outlive their date. On Snowflake run it as the
    admin role, which owns the list. It can be run again; the last reason stands.

    dbt run-operation legal_hold --args '{customer: ada@example.com, reason: case 4711}'
    dbt run-operation legal_hold --args '{customer: ada@example.com, lift: true}'
#}
{% macro legal_hold(customer=none, reason=none, lift=false) -%}
    {%- if customer is not string or not customer or customer | length > 255 -%}
        {{ exceptions.raise_compiler_error("legal_hold: customer is " ~ (customer | string)[:60]
            ~ "; allowed: 1 to 255 characters of text") }}
    {%- endif -%}
    {%- if lift is not boolean -%}
        {{ exceptions.raise_compiler_error("legal_hold: lift is " ~ lift
            ~ "; allowed: true, false") }}
    {%- endif -%}
    {%- if execute -%}
        {%- do cdesk.create_legal_holds() -%}
        {%- set holds = cdesk._in_schema('legal_holds') -%}
        {%- set value = dbt.get_binding_char() -%}
        {%- do cdesk._execute("delete from " ~ holds ~ " where lower(customer) = lower(" ~ value
            ~ ")", [customer]) -%}
        {%- if not lift -%}
            {%- do cdesk._execute("insert into " ~ holds ~ " (customer, reason, placed_at) values ("
                ~ value ~ ", " ~ value ~ ", " ~ cdesk.utc_now() ~ ")",
                [customer, (reason or '') | string]) -%}
        {%- endif -%}
        {%- do adapter.commit() -%}
        {%- do log('legal_hold: ' ~ ('lifted' if lift else 'placed'), info=true) -%}
    {%- endif -%}
{%- endmacro %}
