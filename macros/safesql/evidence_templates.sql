{#
    The templates that declare evidence columns, as a list for `in`. What any other finds proves
    nothing.
#}
{% macro evidence_templates() -%}
    {%- set names = [] -%}
    {%- for name, _ in cdesk.evidence_columns() -%}
        {%- do names.append(name.partition('.')[0]) -%}
    {%- endfor -%}
    ('{{ names | unique | join("', '") }}')
{%- endmacro %}
