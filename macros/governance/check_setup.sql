{#
    At the start of every build on Snowflake: is the set-up there, and is it the one that this
    project was written for? One error, naming the command that mends it, instead of twenty from the
    middle of the build. Does nothing on other engines.
#}
{% macro check_setup() -%}
    {%- if execute -%}{{ return(adapter.dispatch('check_setup', 'cdesk')()) }}{%- endif -%}
{%- endmacro %}

{% macro default__check_setup() -%}{%- endmacro %}

{% macro snowflake__check_setup() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- if flags.FULL_REFRESH and target.name not in ('dev', 'ci')
        and not var('cdesk__allow_full_refresh', false) -%}
        {{ exceptions.raise_compiler_error(
            "check_setup: --full-refresh rebuilds all history, and what retention has removed "
                ~ "from landing would be lost. Build without it; "
            ~ "to mean it, add --vars '{cdesk__allow_full_refresh: true}'") }}
    {%- endif -%}
    {%- set session = run_query("select current_role(), current_warehouse()").rows[0] -%}
    {%- if session[1] is none -%}
        {{ exceptions.raise_compiler_error(
            "check_setup: warehouse " ~ (target.get('warehouse') or '') ~ " does not exist or role "
                ~ session[0] ~ " may not use it. As ACCOUNTADMIN: "
            ~ "dbt run-operation setup_snowflake --target snowflake") }}
    {%- endif -%}
    {%- if cdesk._is_governed() -%}
        {%- if session[0] != names.transformer -%}
            {{ exceptions.raise_compiler_error(
                "check_setup: this session's role is " ~ session[0] ~ "; builds run as "
                    ~ names.transformer ~ ", since what another role replaces is that "
                ~ "role's own from then on. Build again with: SNOWFLAKE_ROLE=" ~ names.transformer
                ~ " dbt build --target snowflake") }}
        {%- endif -%}
        {%- set applied = cdesk._applied_steps() -%}
        {%- for step, text in [('apply_row_access', cdesk._row_access_sql()), ('apply_masking',
            cdesk._masking_sql())] -%}
            {%- if applied.get(step) != cdesk._fingerprint(text) -%}
                {{ exceptions.raise_compiler_error(
                    "check_setup: the policies of " ~ step ~ " are " ~ ("of another version"
                        if step in applied else "not there")
                    ~ ", and nothing is built unguarded. As " ~ names.admin ~ ": dbt run-operation "
                    ~ step ~ " --target snowflake") }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# What comes after setup_snowflake says so when that has not run; a dry run asks nobody. #}
{% macro _needs_setup(dry_run) -%}
    {%- if execute and not dry_run -%}{%- do cdesk._applied_steps() -%}{%- endif -%}
{%- endmacro %}

{#
    step → fingerprint of the text in force; raises where the set-up was never run or this role
    can't see it
#}
{% macro _applied_steps() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set sql -%}
    select table_name
    from {{ names.database }}.information_schema.tables
    where upper(table_schema) = upper('{{ target.schema }}') and upper(table_name) = 'APPLIED_SETUP'
    {%- endset -%}
    {%- if run_query(sql).rows | length == 0 -%}
        {{ exceptions.raise_compiler_error(
            "check_setup: " ~ names.schema ~ " is not set up, or role " ~ (target.get('role') or '')
                ~ " may not see it. As ACCOUNTADMIN: "
            ~ "dbt run-operation setup_snowflake --target snowflake; then build with role "
            ~ names.transformer) }}
    {%- endif -%}
    {%- set applied = {} -%}
    {%- for row in run_query("select step, fingerprint from " ~ names.steps
        ~ " where fingerprint is not null order by applied_at").rows -%}
        {%- do applied.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{ return(applied) }}
{%- endmacro %}
