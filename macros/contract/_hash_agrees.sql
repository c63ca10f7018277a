{#
    Whether a query_run's hash is that of the SQL and the parameters that it names
    (docs/contracts.md). Where a credential among the parameters was redacted it can't be told: such
    a run is kept, and stg_query_runs takes its evidence from it.
#}
{% macro _hash_agrees(fields, names) -%}
    {%- set sql = cdesk.json_text(cdesk.json_field(fields, names, 'sql')) -%}
    {%- set params = cdesk.json_text(cdesk.json_field(fields, names, 'params')) -%}
    (
        left({{ cdesk.hash_text(sql ~ ' || chr(10) || ' ~ params) }}, 16)
        = {{ cdesk.json_text(cdesk.json_field(fields, names, 'query_hash')) }}
        or contains({{ params }}, '[secret:')
    )
{%- endmacro %}
