{# Refuses an argument that is none of the allowed values, naming the macro, the value and these. #}
{% macro _check_one_of(macro, argument, given, allowed) -%}
    {%- if given not in allowed -%}
        {{ exceptions.raise_compiler_error(
            macro ~ ": " ~ argument ~ " '" ~ given ~ "' is none of " ~ (allowed | join(', '))
        ) }}
    {%- endif -%}
{%- endmacro %}
