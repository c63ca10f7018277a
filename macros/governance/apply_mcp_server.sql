{#
    This catalogue on Snowflake's own MCP server, for a team without our shim: each template a table
    function with its parameters, and a server that lists them as tools. The caller's row and
    masking policies hold inside: the functions are the administrator's, whom no policy takes for a
    view of ours, so a reader who names another customer finds nothing. Run it as the administrator
    role after a build, and again after an upgrade.
    https://docs.snowflake.com/en/sql-reference/sql/create-mcp-server

    `templates`: those alone. By default the customer's and the caller's own, at most 50, which is
    what a server may list; the relationships come last and are left out first.

    dbt run-operation apply_mcp_server --target snowflake --args '{dry_run: true}'
#}
{% macro apply_mcp_server(templates=none, dry_run=false) -%}
    {{ return(adapter.dispatch('apply_mcp_server', 'cdesk')(templates, dry_run)) }}
{%- endmacro %}

{% macro default__apply_mcp_server(templates, dry_run) -%}
    {{ cdesk._needs_snowflake('apply_mcp_server') }}
{%- endmacro %}

{% macro snowflake__apply_mcp_server(templates, dry_run) -%}
    {{ cdesk._needs_setup(dry_run) }}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set statements, tools = [], [] -%}
    {%- for node in cdesk._hosted_templates(templates) -%}
        {%- set parameters = cdesk._hosted_parameters(node) -%}
        {%- set function = names.schema ~ '.ask_' ~ node.name -%}
        {%- do statements.append(cdesk._table_function_sql(function, node, parameters) | trim) -%}
        {%- do statements.append("grant usage on function " ~ function ~ "("
            ~ parameters | map(attribute='type') | join(', ') ~ ") to role " ~ names.reader) -%}
        {%- do tools.append(cdesk._hosted_tool(function, node, parameters)) -%}
    {%- endfor -%}
    {%- do statements.append("create or replace mcp server " ~ names.mcp_server
        ~ " from specification $$\n" ~ toyaml({'tools': tools}) ~ "$$") -%}
    {%- do statements.append("grant usage on mcp server " ~ names.mcp_server ~ " to role "
        ~ names.reader) -%}
    {{ cdesk._run_statements('apply_mcp_server', statements, dry_run) }}
{%- endmacro %}

{# What cdesk asks for itself (`listed: false`) is no tool. #}
{% macro _hosted_templates(templates) -%}
    {%- set own, family, known = [], [], [] -%}
    {%- for node in graph.nodes.values() | sort(attribute='name')
        if node.resource_type == 'analysis' -%}
        {%- set meta = node.config.get('meta', {}) -%}
        {%- if meta.get('scope') in ('customer', 'caller') and meta.get('listed', true) -%}
            {%- do known.append(node.name) -%}
            {%- if templates is none or node.name in templates -%}
                {%- do (family if meta.get('family') else own).append(node) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for name in templates or [] if name not in known -%}
        {{ exceptions.raise_compiler_error("apply_mcp_server: templates names " ~ name
            ~ "; allowed: " ~ known | join(', ')) }}
    {%- endfor -%}
    {%- set found = own + family -%}
    {%- if execute and found | length > 50 -%}
        {%- do log("apply_mcp_server: left out, as a server lists 50 tools: "
            ~ found[50:] | map(attribute='name') | join(', '), info=true) -%}
    {%- endif -%}
    {{ return(found[:50]) }}
{%- endmacro %}

{#
    Of a template: name, type in SQL and in JSON, default or none, what the YAML says. Those without
    a default come first, as a function wants them. Each is called `given_…`, so that no column of
    its name stands before it.
#}
{% macro _hosted_parameters(node) -%}
    {%- set sql_types = {'integer': 'number', 'number': 'float', 'boolean': 'boolean',
        'timestamp': 'timestamp_ntz', 'date': 'date'} -%}
    {%- set said = [{'name': 'customer', 'type': 'string',
        'description': 'Whose rows; of another than you may see there are none.'}] -%}
    {%- do said.extend(node.config.meta.get('parameters') or []) -%}
    {%- if 'timezone' not in said | map(attribute='name') -%}
        {%- do said.append({'name': 'timezone', 'type': 'timezone', 'required': false,
            'default': 'UTC', 'description': 'Whose days and hours, an IANA name.'}) -%}
    {%- endif -%}
    {%- set sql = render(node.raw_code) -%}
    {%- set needed, optional = [], [] -%}
    {%- for one in said if '/*' ~ one.name ~ '*/' in sql -%}
        {%- set parameter = dict(
            one, sql_name='given_' ~ one.name, type=sql_types.get(one.type, 'varchar'),
            json=one.type if one.type in ('integer', 'number', 'boolean') else 'string'
        ) -%}
        {%- if one.type.startswith('list[') -%}
            {%- do parameter.update(
                {'description': one.description ~ ' A JSON array, as text.'}
            ) -%}
        {%- endif -%}
        {%- do (needed if one.get('required', true) else optional).append(parameter) -%}
    {%- endfor -%}
    {{ return(needed + optional) }}
{%- endmacro %}

{#
    A row is an object, so that one form serves all. An analyst sees what the policies let them see:
    there is nothing else to ask for.
#}
{% macro _table_function_sql(function, node, parameters) -%}
    {%- set arguments = [] -%}
    {%- for one in parameters -%}
        {%- set value = one.get('default') -%}
        {%- set literal = "'" ~ value ~ "'" if value is string
            else 'null' if value is none else value | string | lower -%}
        {%- do arguments.append(one.sql_name ~ ' ' ~ one.type
            ~ ('' if one.get('required', true) else ' default ' ~ literal)) -%}
    {%- endfor -%}
    {%- set body = modules.re.sub('[?]/[*](?!is_analyst)([a-z0-9_]+)[*]/', 'given_\\1',
        render(node.raw_code) | trim) -%}
    {%- set body = body.replace('?/*is_analyst*/', 'true') %}
create or replace function {{ function }}({{ arguments | join(', ') }})
    returns table (answer variant)
    language sql
    comment = '{{ node.description | replace("'", "''") }}'
as
$$
select to_variant(object_construct_keep_null(*)) as answer
from (
{{ body }}
)
$$
{%- endmacro %}

{# https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-agents-mcp #}
{% macro _hosted_tool(function, node, parameters) -%}
    {%- set properties, needed = {}, [] -%}
    {%- for one in parameters -%}
        {%- set property = {'type': one.json, 'description': one.description} -%}
        {%- for bound, key in [('min', 'minimum'), ('max', 'maximum'), ('values', 'enum'),
            ('default', 'default')] if one.get(bound) is not none -%}
            {%- do property.update({key: one[bound]}) -%}
        {%- endfor -%}
        {%- do properties.update({one.sql_name: property}) -%}
        {%- if one.get('required', true) -%}{%- do needed.append(one.sql_name) -%}{%- endif -%}
    {%- endfor -%}
    {{ return({
        'name': node.name,
        'title': node.name | replace('_', ' ') | capitalize,
        'type': 'GENERIC',
        'identifier': function | upper,
        'description': node.description,
        'config': {
            'type': 'function',
            'warehouse': cdesk._snowflake_names().query_warehouse,
            'input_schema': {'type': 'object', 'properties': properties, 'required': needed},
        },
    }) }}
{%- endmacro %}
