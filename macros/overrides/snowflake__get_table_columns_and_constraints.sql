{% macro snowflake__get_table_columns_and_constraints() -%}
    {%- set definitions = adapter.render_raw_columns_constraints(
        raw_columns=cdesk.native_columns(model['columns'])
    ) -%}
    (
    {%- for definition in definitions %}
        {{ definition }}{{ ',' if not loop.last }}
    {%- endfor %}
    )
{%- endmacro %}
