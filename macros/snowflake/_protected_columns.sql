{#
    The column list of a `create … as`: `definitions` (a name, and a type where a table needs one)
    with the masking policy of each column that has one. Empty where nothing needs it: the names and
    types are the query's then.
#}
{% macro _protected_columns(protection, definitions) -%}
    {%- if definitions -%}
    (
        {%- for definition in definitions %}
            {%- set column = definition.split(' ')[0] | replace('"', '') | lower %}
            {{ definition }}
            {{- ' with masking policy ' ~ protection.masks[column] if column in protection.masks }}
            {{- ',' if not loop.last }}
        {%- endfor %}
        )
    {%- endif -%}
{%- endmacro %}
