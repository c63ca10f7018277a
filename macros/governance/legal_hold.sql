{#
    Places a customer under legal hold, or lifts it: from then on retention and `erase` leave alone
    what is kept of them, and their stored results outlive their date. Answers by a line of JSON who
    is held now; without a customer that is all that it does. On Snowflake run it as the admin role,
    which owns the list. It can be run again; the last reason stands.

    dbt run-operation legal_hold --args '{customer: ada@example.com, reason: case 4711}'
    dbt run-operation legal_hold --args '{customer: ada@example.com, lift: true}'
#}
{% macro legal_hold(customer=none, reason=none, lift=false) -%}
    {%- if customer is not none and (
        customer is not string or not customer or customer | length > 255
    ) -%}
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
        {%- do cdesk._begin() -%}
        {%- if customer is not none -%}
            {%- do cdesk._execute("delete from " ~ holds ~ " where lower(customer) = lower("
                ~ value ~ ")", [customer], begins=true) -%}
        {%- endif -%}
        {%- if customer is not none and not lift -%}
            {%- do cdesk._execute("insert into " ~ holds ~ " (customer, reason, placed_at) values ("
                ~ value ~ ", " ~ value ~ ", " ~ cdesk.utc_now() ~ ")",
                [customer, (reason or '') | string], begins=true) -%}
        {%- endif -%}
        {%- set held = [] -%}
        {%- for row in cdesk._execute("select customer, reason, placed_at from " ~ holds
            ~ " where customer is not null order by customer", begins=true).fetchall() -%}
            {%- do held.append({'customer': row[0], 'reason': row[1], 'placed_at': row[2] | string})
            -%}
        {%- endfor -%}
        {%- do cdesk._commit() -%}
        {%- do log('held: ' ~ tojson(held), info=true) -%}
    {%- endif -%}
{%- endmacro %}
