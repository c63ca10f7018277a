{#
    Text of a number without a fraction (`42`, `42.0`, `4.2e17`), exactly, in 38 digits; null for
    one with a fraction, and for what is no number. A double would take 9007199254740993 for
    9007199254740992.
#}
{% macro exact_integer(text) -%}
    case
        when {{ cdesk.matches(text, '-?[0-9]{1,38}([.]0*)?') }}
            then {{ cdesk._try_digits(dbt.split_part(text, "'.'", 1)) }}
        when {{ cdesk.matches(text, '-?[0-9]([.][0-9]{1,16})?e[+]?(1[6-9]|2[0-9]|3[0-6])') }}
            then {{ cdesk._try_digits(text) }}
    end
{%- endmacro %}
