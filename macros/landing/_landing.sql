{% macro _landing() -%}
    {{ return(api.Relation.create(
        database=target.database, schema=target.schema, identifier='landing', type='table'
    )) }}
{%- endmacro %}
