{#
    The hash under which `template_versions` knows a template's SQL, of SQL of that text. In lower
    case: every desktop spells the names of database and schema as its settings do.
#}
{% macro template_sql_hash(text) -%}
    {{ cdesk.hash_text('lower(' ~ text ~ ')') }}
{%- endmacro %}
