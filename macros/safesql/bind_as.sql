{# A bind cast to a type, for places where the engine can't infer one: `integer`, `varchar`, `timestamp`, `date`, `double`, `boolean`. #}
{% macro bind_as(name, type) -%}
    {%- set types = ['integer', 'varchar', 'timestamp', 'date', 'double', 'boolean'] -%}
    {%- if type not in types -%}
        {{ exceptions.raise_compiler_error("bind_as: type '" ~ type ~ "' is none of " ~ (types | join(', '))) }}
    {%- endif -%}
    cast({{ cdesk.bind(name) }} as {{ dbt.type_timestamp() if type == 'timestamp' else type }})
{%- endmacro %}
