{#
    Every privilege that an installation gives, and why: the macros grant these and no others, but
    for the ownership of what setup_snowflake makes, docs/snowflake.md lists them. One entry: step
    (the macro that grants it, or landing_pipe), privilege, on, role, why. `step` selects; none
    gives all.
#}
{% macro snowflake_grants(step=none) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set grants = [] -%}
    {%- for role in [names.loader, names.transformer, names.reader] -%}
        {%- do grants.append({'privilege': 'usage', 'on': 'database ' ~ names.database,
            'role': role, 'why': 'to name anything in it'}) -%}
        {%- do grants.append({'privilege': 'usage', 'on': 'schema ' ~ names.schema, 'role': role,
            'why': 'to name anything in it'}) -%}
    {%- endfor -%}
    {%- do grants.extend([
        {'privilege': 'usage', 'on': 'schema ' ~ names.access_schema, 'role': names.transformer,
            'why': 'to fill customer_access; no reader may use the schema, not even to name it'},
        {'privilege': 'ownership', 'on': 'schema ' ~ names.access_schema, 'role': names.admin,
            'why': 'the policies look up customer_access with their owner\'s rights'},
        {'privilege': 'usage', 'on': 'warehouse ' ~ names.query_warehouse, 'role': names.loader,
            'why': 'to land batches'},
        {'privilege': 'usage', 'on': 'warehouse ' ~ names.query_warehouse, 'role': names.reader,
            'why': 'to run templates'},
        {'privilege': 'usage', 'on': 'warehouse ' ~ names.build_warehouse,
            'role': names.transformer, 'why': 'to build'},
        {'privilege': 'operate, monitor', 'on': 'warehouse ' ~ names.query_warehouse,
            'role': names.admin, 'why': 'to suspend it'},
        {'privilege': 'operate, monitor', 'on': 'warehouse ' ~ names.build_warehouse,
            'role': names.admin, 'why': 'to suspend it'},
        {'privilege': 'select', 'on': 'table ' ~ names.landing, 'role': names.loader,
         'why': 'to read back which lines have landed; their payload is masked for it'},
        {'step': 'land_lines', 'privilege': 'usage', 'on': 'procedure ' ~ names.land
            ~ '(varchar, varchar)', 'role': names.loader,
         'why': 'to append lines, stamped with its own user'},
        {'privilege': 'create semantic view', 'on': 'schema ' ~ names.schema,
            'role': names.transformer,
         'why': 'to own the view that Cortex Analyst asks'},
        {'privilege': 'create procedure', 'on': 'schema ' ~ names.schema, 'role': names.transformer,
         'why': 'to own land_lines, by which others append to its table'},
        {'privilege': 'create table, create view', 'on': 'schema ' ~ names.schema,
            'role': names.transformer, 'why': 'to build the models'},
        {'privilege': 'select', 'on': 'future tables in schema ' ~ names.schema,
            'role': names.reader,
         'why': 'to run templates; policies decide on rows and columns'},
        {'privilege': 'select', 'on': 'future views in schema ' ~ names.schema,
            'role': names.reader,
         'why': 'to run templates; policies decide on rows and columns'},
        {'privilege': 'select', 'on': 'table ' ~ names.landing, 'role': names.reader,
         'why': 'its size and time of change (as_of) stand in the information schema for who '
                ~ 'may read it; its policy shows readers no row'},
        {'privilege': 'create stream, create task, create dbt project', 'on': 'schema '
            ~ names.schema, 'role': names.transformer,
         'why': 'to build when something has landed'},
        {'privilege': 'execute task', 'on': 'account', 'role': names.transformer,
            'why': 'to run its own tasks'},
        {'privilege': 'apply masking policy', 'on': 'account', 'role': names.admin,
            'why': 'to set a masking policy on a tag'},
        {'privilege': 'select', 'on': 'table ' ~ names.holds, 'role': names.transformer,
         'why': 'retention spares whom it names; who lifts a hold is not who deletes'},
        {'privilege': 'apply row access policy', 'on': 'account', 'role': names.admin,
         'why': 'to see where the policies are attached, and to exchange one of them'},
        {'privilege': 'database role', 'on': 'snowflake.governance_viewer',
            'role': names.transformer,
         'why': 'vw_sql_events reads QUERY_HISTORY with the rights of its owner'},
        {'privilege': 'database role', 'on': 'snowflake.usage_viewer', 'role': names.transformer,
         'why': 'and QUERY_ATTRIBUTION_HISTORY for their credits'},
        {'privilege': 'ownership', 'on': 'schema ' ~ names.schema, 'role': names.admin,
         'why': 'to make policies, tag and function there and to grant apply on them: in a '
                ~ 'schema of managed access its owner grants'},
        {'step': 'landing_pipe', 'privilege': 'operate, monitor', 'on': 'pipe ' ~ names.pipe,
            'role': names.service,
         'why': 'to land by Snowpipe Streaming for anybody; a person has a pipe of their own'},
    ]) -%}
    {%- for policy in [names.customer_rows, names.internal_rows, names.landing_rows,
        names.access_rows] -%}
        {%- do grants.append({'step': 'apply_row_access', 'privilege': 'apply',
            'on': 'row access policy ' ~ policy, 'role': names.transformer,
                              'why': 'to make a table together with its policy'}) -%}
    {%- endfor -%}
    {%- for policy in [names.mask_document, names.mask_landing, names.mask_text,
        names.mask_json_text, names.mask_link] -%}
        {%- do grants.append({'step': 'apply_masking', 'privilege': 'apply', 'on': 'masking policy '
            ~ policy, 'role': names.transformer,
                              'why': 'to make a table together with its policies'}) -%}
    {%- endfor -%}
    {%- do grants.append({'step': 'apply_masking', 'privilege': 'usage', 'on': 'function '
        ~ names.redact_text ~ '(varchar)', 'role': names.transformer,
                          'why': 'its views redact text with it'}) -%}
    {%- for grant in grants
        if 'step' not in grant -%}{%- do grant.update({'step': 'setup_snowflake'}) -%}{%- endfor -%}
    {{ return(grants if step is none else grants | selectattr('step', 'equalto', step) | list) }}
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/sql/grant-database-role names no ON #}
{% macro _grant_sql(grant) -%}
    {%- set between = ' ' if grant.privilege == 'database role' else ' on ' -%}
    {%- set kept = ' copy current grants' if grant.privilege == 'ownership' else '' -%}
    {{ return('grant ' ~ grant.privilege ~ between ~ grant.on ~ ' to role ' ~ grant.role ~ kept) }}
{%- endmacro %}
