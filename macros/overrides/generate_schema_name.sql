{#
    Every object stands in the one schema of the target (CLAUDE_LOGS.ACTIVITIES); a model's `schema`
    config doesn't fan out.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema }}
{%- endmacro %}
