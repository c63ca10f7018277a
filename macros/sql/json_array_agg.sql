{#
    JSON text of an array of JSON texts, in the order given; `[]` where there are none. An
    aggregate.
#}
{% macro json_array_agg(item, order_by) -%}
    '[' || coalesce({{ dbt.listagg(item, "','", "order by " ~ order_by) }}, '') || ']'
{%- endmacro %}
