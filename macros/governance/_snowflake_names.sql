{#
    The names of everything that the governance macros make, in one place. Policies stand beside the
    tables that they guard; what they look up, `customer_access`, stands in a schema that no reader
    may use: a temporary table needs no more than USAGE to stand in front of a table of its name.
    https://docs.snowflake.com/en/sql-reference/sql/create-table#access-control-requirements

    `var('cdesk__snowflake_prefix')` (default CDESK) begins the account-level names, so that two
    installations fit into one account; `var('cdesk__snowflake_names')` gives roles, warehouses and
    monitors names of the account's own. `given` lists those: they are made where they are missing,
    and neither changed nor dropped.
#}
{% macro _snowflake_names() -%}
    {%- set schema = target.database ~ '.' ~ target.schema -%}
    {%- set access_schema = target.database ~ '.' ~ target.schema ~ '_ACCESS' -%}
    {%- set prefix = var('cdesk__snowflake_prefix', 'CDESK') | upper -%}
    {%- set account = {
        'query_warehouse': prefix ~ '_WH',
        'build_warehouse': prefix ~ '_BUILD_WH',
        'loader': prefix ~ '_LOADER',
        'transformer': prefix ~ '_TRANSFORMER',
        'reader': prefix ~ '_READER',
        'service': prefix ~ '_SERVICE',
        'admin': prefix ~ '_ADMIN',
        'daily_monitor': prefix ~ '_DAILY',
        'monthly_monitor': prefix ~ '_MONTHLY',
        'account_monitor': prefix ~ '_ACCOUNT',
    } -%}
    {%- set given = var('cdesk__snowflake_names', {}) or {} -%}
    {%- for key, name in given.items() -%}
        {%- if key not in account -%}
            {{ exceptions.raise_compiler_error("cdesk__snowflake_names: " ~ key ~ "; allowed: "
                ~ account | join(', ')) }}
        {%- elif not modules.re.match('^[A-Za-z_][A-Za-z0-9_$]{0,99}$', name | string) -%}
            {{ exceptions.raise_compiler_error("cdesk__snowflake_names: " ~ key ~ " is " ~ name
                ~ "; allowed: a name of letters, digits, _ and $") }}
        {%- endif -%}
        {%- do account.update({key: name | upper}) -%}
    {%- endfor -%}
    {%- set names = {
        'database': target.database,
        'prefix': prefix,
        'given': given.keys() | list,
        'schema': schema,
        'access_schema': access_schema,
        'old_access': schema ~ '.customer_access',
        'landing': schema ~ '.landing',
        'land': schema ~ '.land_lines',
        'people': schema ~ '.added_people',
        'access': access_schema ~ '.customer_access',
        'holds': schema ~ '.legal_holds',
        'steps': schema ~ '.applied_setup',
        'marks': schema ~ '.build_marks',
        'pipe_role_prefix': prefix ~ '_PIPE_',
        'customer_rows': schema ~ '.customer_rows',
        'internal_rows': schema ~ '.internal_rows',
        'landing_rows': schema ~ '.landing_rows',
        'access_rows': schema ~ '.access_rows',
        'mask_document': schema ~ '.mask_document',
        'mask_landing': schema ~ '.mask_landing',
        'mask_text': schema ~ '.mask_text',
        'mask_json_text': schema ~ '.mask_json_text',
        'mask_link': schema ~ '.mask_link',
        'redact': schema ~ '.redact_document',
        'redact_text': schema ~ '.redact_text',
        'redact_json_text': schema ~ '.redact_json_text',
        'tag': schema ~ '.sensitive',
        'semantic_view': schema ~ '.claude_activity',
        'mcp_server': schema ~ '.claude_questions',
        'service_hosts': schema ~ '.service_hosts',
        'login_policy': schema ~ '.service_login',
        'network_policy': prefix ~ '_SERVICE_HOSTS',
        'stream': schema ~ '.landing_stream',
        'pipe': schema ~ '.landing_pipe',
        'task': schema ~ '.build_on_landing',
        'daily_task': schema ~ '.build_daily',
        'retention_task': schema ~ '.apply_retention',
        'project': schema ~ '.cdesk',
    } -%}
    {%- do names.update(account) -%}
    {{ return(names) }}
{%- endmacro %}

{#
    Where a relation of this project stands: what the policies look up, apart from all others. One
    schema on an engine without policies.
#}
{% macro _schema_of(name) -%}
    {{ return(adapter.dispatch('_schema_of', 'cdesk')(name)) }}
{%- endmacro %}

{% macro default___schema_of(name) -%}
    {{ return(target.schema) }}
{%- endmacro %}

{% macro snowflake___schema_of(name) -%}
    {{ return(target.schema ~ '_ACCESS' if name | lower == 'customer_access' else target.schema) }}
{%- endmacro %}
