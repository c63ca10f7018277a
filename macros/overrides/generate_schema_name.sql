{#
    Every object stands in the one schema of the target (CLAUDE_LOGS.ACTIVITIES), but for what the
    policies look up; a model's `schema` config doesn't fan out.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ cdesk._schema_of(node.name) if node else target.schema }}
{%- endmacro %}
