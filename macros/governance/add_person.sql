{#
    Lets a user in: their rows of `customer`, and landing for that customer and no other. With
    `streaming` they get a pipe of their own, which writes their name into what lands through it,
    and the role that may use it. Run it as ACCOUNTADMIN, as often as you like.

    dbt run-operation add_person --target snowflake --args '{user: ADA, customer: ada@example.com,
    dry_run: true}'
#}
{% macro add_person(user, customer, streaming=false, dry_run=false) -%}
    {{ return(adapter.dispatch('add_person', 'cdesk')(user, customer, streaming, dry_run)) }}
{%- endmacro %}

{% macro default__add_person(user, customer, streaming, dry_run) -%}
    {{ cdesk._needs_snowflake('add_person') }}
{%- endmacro %}

{% macro snowflake__add_person(user, customer, streaming, dry_run) -%}
    {%- if not modules.re.match('^[A-Za-z_][A-Za-z0-9_$]{0,99}$', user | string) -%}
        {{ exceptions.raise_compiler_error("add_person: user is " ~ user
            ~ "; allowed: a name of letters, digits, _ and $, as SHOW USERS has it") }}
    {%- endif -%}
    {%- if not customer or customer | length > 255 or "'" in customer or "\\" in customer -%}
        {{ exceptions.raise_compiler_error("add_person: customer is " ~ customer
            ~ "; allowed: 1 to 255 characters without quote or backslash") }}
    {%- endif -%}
    {{ cdesk._needs_setup(dry_run) }}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set user = user | upper -%}
    {%- set role = names.pipe_role_prefix ~ user -%}
    {%- set pipe = names.pipe ~ '_' ~ user -%}
    {%- set statements = [
        "grant role " ~ names.loader ~ " to user " ~ user,
        "grant role " ~ names.reader ~ " to user " ~ user,
        "use role " ~ names.transformer,
    ] -%}
    {%- do statements.extend(cdesk._access_entry_sql('user', user, customer)) -%}
    {%- if streaming -%}
        {%- do cdesk._check_pipes(pipe, dry_run) -%}
        {%- do statements.extend([
            "use role " ~ names.admin,
            cdesk._landing_pipe_sql(pipe, user) | trim,
            "use role securityadmin",
            "create role if not exists " ~ role,
            "grant role " ~ role ~ " to user " ~ user,
            "grant role " ~ names.loader ~ " to role " ~ role,
            "use role " ~ names.admin,
            "grant operate, monitor on pipe " ~ pipe ~ " to role " ~ role,
        ]) -%}
    {%- endif -%}
    {{ cdesk._run_statements('add_person', statements, dry_run) }}
    {%- if streaming and execute and not dry_run -%}
        {%- do log("add_person: on their desktop: CDESK_SNOWFLAKE_PIPE=" ~ pipe.split('.')[-1]
            ~ " CDESK_SNOWFLAKE_PIPE_ROLE=" ~ role, info=true) -%}
    {%- endif -%}
{%- endmacro %}

{# In the list that stays, and in the one that the seed fills anew. #}
{% macro _access_entry_sql(kind, principal, customer) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set entry = "select '" ~ kind ~ "' as principal_kind, '" ~ principal
        ~ "' as principal, '" ~ customer ~ "' as customer" -%}
    {%- set statements = [] -%}
    {%- for table in [names.people, names.access] -%}
        {%- do statements.append(
            "insert into " ~ table ~ " (principal_kind, principal, customer)\nselect entry.* from ("
                ~ entry ~ ") as entry\nwhere not exists ("
            ~ "select 1 from " ~ table
            ~ " as known where known.principal_kind = entry.principal_kind "
            ~ "and known.principal = entry.principal "
            ~ "and known.customer = entry.customer)") -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}

{#
    Snowflake allows ten streaming pipes a table: the service's and nine people's.
    https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-limitations
#}
{% macro _check_pipes(pipe, dry_run) -%}
    {%- if execute and not dry_run -%}
        {%- set names = cdesk._snowflake_names() -%}
        {%- set found = [] -%}
        {%- for row in run_query("show pipes like '" ~ names.pipe.split('.')[-1] ~ "%' in schema "
            ~ names.schema).rows -%}
            {%- do found.append(row['name'] | upper) -%}
        {%- endfor -%}
        {%- if pipe.split('.')[-1] | upper not in found and found | length >= 10 -%}
            {{ exceptions.raise_compiler_error(
                "add_person: landing has " ~ found | length
                ~ " pipes, and Snowflake allows 10 a table; let this person land by the "
                ~ "connector "
                ~ "(streaming: false), or all of them through the shared service") }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
