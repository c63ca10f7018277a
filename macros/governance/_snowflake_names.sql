{#
    The names of everything that the governance macros make, in one place. Policies stand beside the
    tables that they guard. `var('cdesk__snowflake_prefix')` (default CDESK) begins the
    account-level names, so that two installations fit into one account.
#}
{% macro _snowflake_names() -%}
    {%- set schema = target.database ~ '.' ~ target.schema -%}
    {%- set prefix = var('cdesk__snowflake_prefix', 'CDESK') | upper -%}
    {{ return({
        'database': target.database,
        'schema': schema,
        'landing': schema ~ '.landing',
        'land': schema ~ '.land_lines',
        'people': schema ~ '.added_people',
        'access': schema ~ '.customer_access',
        'holds': schema ~ '.legal_holds',
        'steps': schema ~ '.applied_setup',
        'query_warehouse': prefix ~ '_WH',
        'build_warehouse': prefix ~ '_BUILD_WH',
        'loader': prefix ~ '_LOADER',
        'transformer': prefix ~ '_TRANSFORMER',
        'reader': prefix ~ '_READER',
        'pipe_role_prefix': prefix ~ '_PIPE_',
        'service': prefix ~ '_SERVICE',
        'admin': prefix ~ '_ADMIN',
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
        'tag': schema ~ '.sensitive',
        'semantic_view': schema ~ '.claude_activity',
        'stream': schema ~ '.landing_stream',
        'pipe': schema ~ '.landing_pipe',
        'task': schema ~ '.build_on_landing',
        'daily_task': schema ~ '.build_daily',
        'retention_task': schema ~ '.apply_retention',
        'project': schema ~ '.cdesk',
    }) }}
{%- endmacro %}
