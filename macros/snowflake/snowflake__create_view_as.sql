{#
    dbt-snowflake's own, with its protection in the same statement (see snowflake__create_table_as).
#}
{% macro snowflake__create_view_as(relation, sql) -%}
    {%- set protection = cdesk._protection(
        relation.identifier, get_column_schema_from_query(sql)
    ) -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif %}
    create or replace {{ 'secure ' if config.get('secure', default=false) }}view {{ relation }}
        {{ cdesk._protected_columns(protection, protection.columns if protection.masks else []) }}
        {{ 'copy grants' if config.get('copy_grants', default=false) }}
        {%- if protection.row_access %}
        with row access policy {{ protection.row_access }}
        {%- endif %}
    as (
        {{ sql }}
    );
{%- endmacro %}
