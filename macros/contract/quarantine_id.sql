{#
    The id of a line that is no record: `q-` and the first 32 hex digits of SHA-256 over its place
    in its file (docs/contracts.md).
#}
{% macro quarantine_id(source_file, source_offset) -%}
    {%- set place = source_file ~ " || ':' || cast(" ~ source_offset ~ " as varchar)" -%}
    'q-' || left({{ cdesk.hash_text(place) }}, 32)
{%- endmacro %}
