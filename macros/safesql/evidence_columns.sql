{#
    What the templates declare as evidence (`meta.evidence_columns`), as a list of
    [`template.column`, basis]. The declaration is the one place: the catalog takes it from there
    for what a run hands in, and this for what is believed of it, so that a column that is no
    evidence any more proves nothing from the next build on.
#}
{% macro evidence_columns() -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'analysis' -%}
            {%- for column, basis in (node.config.meta.get('evidence_columns') or {}).items() -%}
                {%- do found.append([node.name ~ '.' ~ column, basis]) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found | sort) }}
{%- endmacro %}
