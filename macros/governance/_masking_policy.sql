{#
    Which masking policy a column has, or none. Every VARIANT is masked, as it may hold anything,
    and every text that is not declared safe: by `meta: {safe: true}` of the model's column, or, for
    what the system itself writes everywhere, in `_safe_texts`.

    `is_named`: only what is called like a customer's text is masked, as in a relation that
    everybody reads, which holds none.
#}
{% macro _masking_policy(name, data_type, is_named=false, safe=[]) -%}
    {%- set documents = ['context', 'raw'] -%}
    {%- set texts = ['value_text', 'detail', 'message', 'question', 'path'] -%}
    {%- if name == 'payload' -%}
        {{ return('mask_landing') }}
    {%- elif (data_type | upper).split('(')[0] in (
        'OBJECT', 'ARRAY', 'MAP', 'BINARY', 'VARBINARY', 'GEOGRAPHY', 'GEOMETRY', 'VECTOR', 'FILE',
    ) -%}
        {{ exceptions.raise_compiler_error(
            "column " ~ name ~ " is of type " ~ data_type
                ~ ", and a masking policy has the type of its column: "
            ~ "store it as variant, which the policy for documents covers") }}
    {%- elif data_type | upper in ('VARIANT', 'JSON') -%}
        {{ return('mask_document') }}
    {%- elif not cdesk._is_text(data_type) or name in safe or name in cdesk._safe_texts() -%}
        {{ return(none) }}
    {%- elif name in ('link', 'uri') -%}
        {{ return('mask_link') }}
    {%- elif name in documents -%}
        {{ return('mask_json_text') }}
    {%- elif name in texts or not is_named -%}
        {{ return('mask_text') }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{#
    Columns that hold what the system made, by whatever relation: identifiers, hashes, names of the
    contract. The policies that decide on rows read them, and queries find rows by them.
#}
{% macro _safe_texts() -%}
    {{ return([
        'customer', 'activity', '_activity_id', 'activity_id', 'id', 'id_key', 'kind', 'landing_id',
            'source_file', 'landed_by',
        '_source_system', '_source_version', 'source_system', 'source_version', '_query_tag',
            'query_tag', 'query_hash',
        'provenance_query_hash', 'insight_id', 'artifact_id', 'ticket_id', 'quarantine_id',
            'template', 'status', 'format', 'reason',
        'version', 'basis', 'category', 'principal', 'principal_kind', 'step', 'fingerprint',
    ]) }}
{%- endmacro %}
