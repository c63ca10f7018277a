{#
    Takes everything away that setup_snowflake and its companions have made. Asks: `confirm` has to
    be the name of the database. The data stays unless `drop_data` is true. Run it as ACCOUNTADMIN.

    dbt run-operation teardown --target snowflake --args '{confirm: CLAUDE_LOGS, dry_run: true}'
#}
{% macro teardown(confirm=none, drop_data=false, dry_run=false) -%}
    {{ return(adapter.dispatch('teardown', 'cdesk')(confirm, drop_data, dry_run)) }}
{%- endmacro %}

{% macro default__teardown(confirm, drop_data, dry_run) -%}
    {{ cdesk._needs_snowflake('teardown') }}
{%- endmacro %}

{% macro snowflake__teardown(confirm, drop_data, dry_run) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- if confirm != names.database and not dry_run -%}
        {{ exceptions.raise_compiler_error(
            "teardown: drops roles, warehouses, monitors and tasks" ~ (" and DATABASE "
                ~ names.database ~ " WITH ALL DATA" if drop_data else "")
            ~ "; say so with --args '{confirm: " ~ names.database
            ~ "}', or look first with --args '{dry_run: true}'") }}
    {%- endif -%}
    {%- set statements = [
        "drop task if exists " ~ names.task,
        "drop task if exists " ~ names.daily_task,
        "drop task if exists " ~ names.retention_task,
        "drop stream if exists " ~ names.stream,
    ] -%}
    {%- if drop_data -%}
        {%- do statements.append("drop database if exists " ~ names.database) -%}
    {%- endif -%}
    {# what the account has named is the account's #}
    {%- for key in ['query_warehouse', 'build_warehouse'] if key not in names.given -%}
        {%- do statements.append("drop warehouse if exists " ~ names[key]) -%}
    {%- endfor -%}
    {%- for key in ['daily_monitor', 'monthly_monitor', 'account_monitor']
        if key not in names.given -%}
        {%- do statements.append("drop resource monitor if exists " ~ names[key]) -%}
    {%- endfor -%}
    {%- if execute and not dry_run -%}
        {%- for row in run_query("show roles like '" ~ names.pipe_role_prefix ~ "%'").rows -%}
            {%- do statements.append("drop role if exists " ~ row['name']) -%}
        {%- endfor -%}
    {%- endif -%}
    {# the roles that can read go first; policies stay with the data that they guard #}
    {%- for key in ['service', 'reader', 'loader', 'transformer', 'admin']
        if key not in names.given -%}
        {%- do statements.append("drop role if exists " ~ names[key]) -%}
    {%- endfor -%}
    {{ cdesk._run_statements('teardown', statements, dry_run) }}
{%- endmacro %}
