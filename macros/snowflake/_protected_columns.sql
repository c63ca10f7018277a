{#
    The column list of a `create … as`, where a column needs one: a masking policy, or the types of an enforced contract.
    A name is all that Snowflake asks for otherwise; the types are the query's.
#}
{% macro _protected_columns(protection, is_contract) -%}
    {%- if is_contract -%}
        {%- set definitions = adapter.render_raw_columns_constraints(raw_columns=cdesk.native_columns(model['columns'])) -%}
    {%- elif protection.masks -%}
        {%- set definitions = protection.columns -%}
    {%- endif -%}
    {%- if definitions -%}
    (
        {%- for definition in definitions %}
            {%- set column = definition.split(' ')[0] | replace('"', '') | lower %}
            {{ definition }}{{ ' with masking policy ' ~ protection.masks[column] if column in protection.masks }}{{ ',' if not loop.last }}
        {%- endfor %}
        )
    {%- endif -%}
{%- endmacro %}
