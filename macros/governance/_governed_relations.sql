{#
    Every relation of the schema with its protection: as it stands in the warehouse, or, for a dry
    run, as the project describes it. One entry: name, full_name, kind (table or view), protection.
#}
{% macro _governed_relations(dry_run) -%}
    {%- set relations = [] -%}
    {%- if execute -%}
        {%- set nodes = cdesk._nodes_by_relation() -%}
        {%- for name, relation in (cdesk._described_relations() if dry_run
            else cdesk._existing_relations()).items() -%}
            {%- set node = nodes.get(name | lower, {}) -%}
            {%- set meta = {
                'audience': 'everyone' if name | lower in ['applied_setup', 'template_versions']
                    else node.get('config', {}).get('meta', {}).get('audience'),
                'safe': cdesk._safe_columns(node),
            } -%}
            {%- do relations.append({
                'name': name,
                'full_name': target.database ~ '.' ~ cdesk._schema_of(name) ~ '.' ~ name,
                'kind': relation.kind,
                'protection': cdesk._protection(name, relation.columns, meta),
            }) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(relations) }}
{%- endmacro %}

{# relation name → the model, seed or snapshot that makes it #}
{% macro _nodes_by_relation() -%}
    {%- set nodes = {} -%}
    {%- for node in graph.nodes.values() if node.resource_type in ('model', 'seed', 'snapshot') -%}
        {%- do nodes.update({node.alias | lower: node}) -%}
    {%- endfor -%}
    {{ return(nodes) }}
{%- endmacro %}

{% macro _existing_relations() -%}
    {%- set found = {} -%}
    {%- set sql -%}
    select columns.table_name, tables.table_type, columns.column_name, columns.data_type
    from {{ target.database }}.information_schema.columns as columns
    inner join {{ target.database }}.information_schema.tables as tables
        on columns.table_schema = tables.table_schema and columns.table_name = tables.table_name
    where
        upper(columns.table_schema) = upper('{{ target.schema }}')
        or (
            upper(columns.table_schema) = upper('{{ cdesk._schema_of('customer_access') }}')
            and upper(columns.table_name) = 'CUSTOMER_ACCESS'
        )
    order by columns.table_name, columns.ordinal_position
    {%- endset -%}
    {%- for row in run_query(sql).rows -%}
        {%- set name = row[0] | lower -%}
        {%- if name not in found -%}
            {%- do found.update({name: {
                'kind': 'view' if 'VIEW' in row[1] else 'table',
                'columns': [],
            }}) -%}
        {%- endif -%}
        {%- do found[name].columns.append({'name': row[2] | lower, 'dtype': row[3]}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#
    From the project's own YAML, which a test holds to what is built. Where it gives no type, the
    names of our documents tell.
#}
{% macro _described_relations() -%}
    {%- set documents = [
        '_feature_json', 'feature_json', 'value', 'params', 'evidence', 'payload',
    ] -%}
    {%- set people = [
        {'name': 'principal_kind', 'dtype': 'VARCHAR'},
        {'name': 'principal', 'dtype': 'VARCHAR'},
        {'name': 'customer', 'dtype': 'VARCHAR'},
    ] -%}
    {%- set found = {
        'landing': {'kind': 'table', 'columns': [
            {'name': 'id', 'dtype': 'VARCHAR'},
            {'name': 'payload', 'dtype': 'VARIANT'},
        ]},
        'customer_access': {'kind': 'table', 'columns': people},
        'added_people': {'kind': 'table', 'columns': people},
        'legal_holds': {'kind': 'table', 'columns': [{'name': 'customer', 'dtype': 'VARCHAR'}]},
        'build_marks': {'kind': 'table', 'columns': [
            {'name': 'mark', 'dtype': 'VARCHAR'},
            {'name': 'instant', 'dtype': 'TIMESTAMP_NTZ'},
        ]},
    } -%}
    {%- for node in graph.nodes.values() if node.resource_type in ('model', 'seed', 'snapshot')
        and node.config.materialized != 'ephemeral' -%}
        {%- set columns = [] -%}
        {%- for column in node.columns.values() -%}
            {%- set guessed = 'VARIANT' if column.name | lower in documents else 'VARCHAR' -%}
            {%- do columns.append({
                'name': column.name | lower,
                'dtype': column.data_type or guessed,
                'is_guessed': not column.data_type,
            }) -%}
        {%- endfor -%}
        {%- if columns -%}
            {%- do found.update({node.alias | lower: {
                'kind': 'view' if node.config.materialized == 'view' else 'table',
                'columns': columns,
            }}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
