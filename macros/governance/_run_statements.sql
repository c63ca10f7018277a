{#
    Runs `statements` in order, or prints them when `dry_run`; says what it did. A statement that
    fails stops the rest: each macro can be run again.
#}
{% macro _run_statements(operation, statements, dry_run) -%}
    {%- if execute -%}
        {%- for statement in statements -%}
            {%- if dry_run -%}
                {%- do print(statement | trim ~ ';\n') -%}
            {%- else -%}
                {%- do run_query(statement) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if not dry_run -%}
            {%- do log(operation ~ ': ' ~ (statements | length) ~ ' statements applied',
                info=true) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
