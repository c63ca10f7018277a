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
        {%- do statements.extend(cdesk._release_services_sql(dry_run)) -%}
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
        {#- in a pattern `_` is any character -#}
        {%- for row in run_query("show roles like '" ~ names.pipe_role_prefix ~ "%'").rows
            if row['name'].startswith(names.pipe_role_prefix) -%}
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

{#
    A database isn't dropped while one of its authentication policies is set on a user, nor a
    network policy while it is: https://docs.snowflake.com/en/sql-reference/sql/drop-network-policy.
    The users are the account's and stay; without their policies and roles they are of no use and
    open to more than they were, so they are disabled.
#}
{% macro _release_services_sql(dry_run) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set statements = [] -%}
    {# a dry run asks nothing: it names none #}
    {%- set users = cdesk._services() if execute and not dry_run else [] -%}
    {%- for user in users -%}
        {%- do statements.extend([
            'alter user "' ~ user ~ '" set disabled = true',
            'alter user "' ~ user ~ '" unset authentication policy',
            'alter user "' ~ user ~ '" unset network_policy',
        ]) -%}
    {%- endfor -%}
    {%- do statements.append("drop network policy if exists " ~ names.network_policy) -%}
    {{ return(statements) }}
{%- endmacro %}

{# The users that add_service has made, by the policy that it gave them. #}
{% macro _services() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set found = [] -%}
    {%- set policy = names.login_policy.split('.')[-1] -%}
    {%- for row in run_query("show authentication policies like '" ~ policy ~ "' in account").rows
        if (row['database_name'] ~ '.' ~ row['schema_name']) | upper == names.schema | upper -%}
        {%- set sql -%}
        select ref_entity_name
        from table({{ target.database }}.information_schema.policy_references(
            policy_name => '{{ names.login_policy }}'))
        where ref_entity_domain = 'USER'
        {%- endset -%}
        {%- for reference in run_query(sql).rows -%}
            {%- do found.append(reference[0]) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
