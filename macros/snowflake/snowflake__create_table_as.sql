{#
    dbt-snowflake's own, plus protection that stands in the statement that makes the table: `create
    or replace` drops every policy of the old one, and `copy grants` lets readers in at once, so a
    policy attached afterwards would come too late. A column with a policy and a clustering key each
    need the definitions of all columns.
    https://docs.snowflake.com/en/sql-reference/sql/create-table#create-table-as-select-also-referred-to-as-ctas
#}
{% macro snowflake__create_table_as(temporary, relation, compiled_code, language='sql') -%}
    {%- if language != 'sql' -%}
        {{ exceptions.raise_compiler_error(
            "create_table_as: language '" ~ language ~ "' is not protected; allowed: sql"
        ) }}
    {%- elif temporary -%}
        {# session-private, and gone when the build is #}
        {{ snowflake__create_table_temporary_sql(relation, compiled_code) }}
    {%- else -%}
        {%- set catalog_relation = adapter.build_catalog_relation(config.model) -%}
        {%- set protection = cdesk._protection(
            relation.identifier, get_column_schema_from_query(compiled_code)
        ) -%}
        {%- set contract = config.get('contract') -%}
        {%- if contract.enforced -%}
            {{ get_assert_columns_equivalent(compiled_code) }}
            {%- set compiled_code = get_select_subquery(compiled_code) -%}
            {%- set definitions = adapter.render_raw_columns_constraints(
                raw_columns=cdesk.native_columns(model['columns'])
            ) -%}
        {%- elif protection.masks or catalog_relation.cluster_by is not none -%}
            {%- set definitions = cdesk._typed_columns(relation, compiled_code) -%}
        {%- endif %}
    create or replace {{ 'transient ' if catalog_relation.is_transient }}table {{ relation }}
        {{ cdesk._protected_columns(protection, definitions) }}
        {%- if catalog_relation.cluster_by is not none %}
        cluster by ({{ catalog_relation.cluster_by }})
        {%- endif %}
        {{ 'copy grants' if config.get('copy_grants', default=false) }}
        {%- if protection.row_access %}
        with row access policy {{ protection.row_access }}
        {%- endif %}
    as (
        {%- if catalog_relation.cluster_by is not none %}
        select * from (
            {{ compiled_code }}
        ) order by {{ catalog_relation.cluster_by }}
        {%- else %}
        {{ compiled_code }}
        {%- endif %}
    );
    {%- endif -%}
{%- endmacro %}

{# Every column's name with its exact type, as the query has it. #}
{% macro _typed_columns(relation, sql) -%}
    {%- set probe = make_temp_relation(relation, '__dbt_tmp_types').incorporate(type='view') -%}
    {%- do run_query(snowflake__create_view_as_with_temp_flag(probe, sql, True)) -%}
    {%- set definitions = [] -%}
    {%- for column in adapter.get_columns_in_relation(probe) -%}
        {%- set type = 'varchar' if column.is_string() else column.data_type | lower -%}
        {%- do definitions.append(column.name | lower ~ ' ' ~ type) -%}
    {%- endfor -%}
    {%- do adapter.drop_relation(probe) -%}
    {{ return(definitions) }}
{%- endmacro %}
