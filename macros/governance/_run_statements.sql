{# Runs `statements` in order, or prints them when `dry_run`; says what it did. A statement that fails stops the rest: each macro can be run again. #}
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
            {%- do log(operation ~ ': ' ~ (statements | length) ~ ' statements applied', info=true) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# Remembers which text of a step is in force, so that a build can tell an older set-up from the one that it was written for. #}
{% macro _record_step_sql(step, statements) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {{ return([
        "delete from " ~ names.steps ~ " where step = '" ~ step ~ "'",
        "insert into " ~ names.steps ~ " (step, fingerprint, applied_at) select '" ~ step ~ "', '" ~ cdesk._fingerprint(statements) ~ "', sysdate()",
    ]) }}
{%- endmacro %}

{% macro _fingerprint(statements) -%}
    {{ return(local_md5(statements | join(';\n'))) }}
{%- endmacro %}

{# What a public macro of this folder does on any engine but Snowflake. #}
{% macro _needs_snowflake(operation) -%}
    {{ exceptions.raise_compiler_error(operation ~ " is for Snowflake; run it as: dbt run-operation " ~ operation ~ " --target snowflake") }}
{%- endmacro %}
