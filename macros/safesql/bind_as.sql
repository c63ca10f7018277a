{#
    A bind cast to a type, for places where the engine can't infer one: `integer`, `varchar`,
    `timestamp`, `date`, `double`, `boolean`.
#}
{% macro bind_as(name, type) -%}
    {%- set types = ['integer', 'varchar', 'timestamp', 'date', 'double', 'boolean'] -%}
    {%- do cdesk._check_one_of('bind_as', 'type', type, types) -%}
    cast({{ cdesk.bind(name) }} as {{ dbt.type_timestamp() if type == 'timestamp' else type }})
{%- endmacro %}
