{#
    Gives the table of a selected seed the columns that the seed has gained. Seeds are inserted
    anew, never dropped (a dropped table would come back without its policy), so that an existing
    warehouse would refuse the wider file. Runs at the start of every dbt run.

    Columns aren't looked up first: that would open a transaction, which ends with the hook.
#}
{% macro add_seed_columns() -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values()
            if node.resource_type == 'seed' and node.unique_id in selected_resources -%}
            {%- set relation = load_relation(api.Relation.create(
                database=node.database, schema=node.schema, identifier=node.alias
            )) -%}
            {%- for name, type in node.config.column_types.items() if relation is not none -%}
                {%- do run_query(
                    'alter table ' ~ relation ~ ' add column if not exists ' ~ name ~ ' ' ~ type
                ) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
