{# Tests of a match beyond its pattern: `CHECKS` of cdesk/contract/redaction, in DuckDB. #}
{% macro _redaction_check_sql(name, text) -%}
    {%- set digits = "regexp_replace(replace(" ~ text ~ ", '%20', ''), '[^0-9]', '', 'g')" -%}
    {%- set checks = {
        'card': cdesk._card_sql(digits),
        'iban': cdesk._iban_sql(text),
        'nir': cdesk._nir_sql(text),
        'mod11_10': cdesk._mod11_10_sql(digits),
        'dni': cdesk._dni_sql(text, digits),
        'mixed': cdesk._mixed_sql(text),
        'phone': "length(" ~ digits ~ ") between 8 and 15",
        'national': "length(" ~ digits ~ ") between 9 and 12",
    } -%}
    {%- if name not in checks -%}
        {{ exceptions.raise_compiler_error(
            "_redaction_check_sql: check '" ~ name ~ "' is unknown; allowed: " ~ checks | join(', ')
        ) }}
    {%- endif -%}
    {{ return(checks[name]) }}
{%- endmacro %}

{# An issuer's prefix and length, and ISO/IEC 7812-1, annex B (Luhn). #}
{% macro _card_sql(digits) -%}
    {%- set digit -%}
    (ascii(substr(reverse({{ digits }}), cast(place as bigint), 1)) - 48)
    {%- endset -%}
    {{ return(
        "regexp_full_match(" ~ digits ~ ", " ~ cdesk._quoted(cdesk._redaction_issuers()) ~ ")"
        ~ " and list_sum(list_transform(range(1, length(" ~ digits ~ ") + 1), lambda place: case"
        ~ " when place % 2 = 1 then " ~ digit
        ~ " when " ~ digit ~ " > 4 then " ~ digit ~ " * 2 - 9"
        ~ " else " ~ digit ~ " * 2 end)) % 10 = 0"
    ) }}
{%- endmacro %}

{# ISO 13616: letters as two digits, the first four last, the rest of division by 97 is 1. #}
{% macro _iban_sql(text) -%}
    {%- set code = "upper(regexp_replace(" ~ text ~ ", '[^0-9A-Za-z]', '', 'g'))" -%}
    {%- set turned = "(substr(" ~ code ~ ", 5) || substr(" ~ code ~ ", 1, 4))" -%}
    {{ return(
        "list_reduce(list_prepend(0, list_transform(string_split(" ~ turned ~ ", ''),"
        ~ " lambda letter: ascii(letter) - case when ascii(letter) < 58 then 48 else 55 end)),"
        ~ " lambda rest, digit: (rest * case when digit > 9 then 100 else 10 end + digit) % 97) = 1"
    ) }}
{%- endmacro %}

{# France's number of registration: the last two digits are 97 less the rest of the others. #}
{% macro _nir_sql(text) -%}
    {%- set digits -%}
    regexp_replace(replace(replace({{ text }}, '2A', '19'), '2B', '18'), '[^0-9]', '', 'g')
    {%- endset -%}
    {{ return(
        "length(" ~ digits ~ ") = 15"
        ~ " and 97 - try_cast(substr(" ~ digits ~ ", 1, 13) as bigint) % 97"
        ~ " = try_cast(substr(" ~ digits ~ ", 14, 2) as bigint)"
    ) }}
{%- endmacro %}

{# ISO/IEC 7064, MOD 11,10: Germany's tax number. #}
{% macro _mod11_10_sql(digits) -%}
    {%- set places = "string_split(left(" ~ digits ~ ", -1), '')" -%}
    {{ return(
        "(11 - list_reduce(list_prepend(10, list_transform(" ~ places ~ ","
        ~ " lambda digit: ascii(digit) - 48)), lambda product, digit: (case"
        ~ " when (digit + product) % 10 = 0 then 10"
        ~ " else (digit + product) % 10 end) * 2 % 11)) % 10"
        ~ " = ascii(right(" ~ digits ~ ", 1)) - 48"
    ) }}
{%- endmacro %}

{# Spain's identity number: its letter follows from the rest of division by 23. #}
{% macro _dni_sql(text, digits) -%}
    {%- set place = "cast(try_cast(" ~ digits ~ " as bigint) % 23 as bigint) + 1" -%}
    {{ return("substr('TRWAGMYFPDXBNJZSQVHLCKE', " ~ place ~ ", 1) = right(" ~ text ~ ", 1)") }}
{%- endmacro %}

{# Neither a word nor a number nor a hash. #}
{% macro _mixed_sql(text) -%}
    {%- set classes = [] -%}
    {%- for class in ['[A-Z]', '[a-z]', '[0-9]'] -%}
        {%- do classes.append("regexp_matches(" ~ text ~ ", '" ~ class ~ "')") -%}
    {%- endfor -%}
    {{ return('(' ~ classes | join(' and ') ~ ')') }}
{%- endmacro %}
