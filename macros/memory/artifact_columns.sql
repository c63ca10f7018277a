{# What is known of a stored result, beside its id and whose it is. #}
{% macro artifact_columns() -%}
created_at,
        uri,
        format,
        row_count,
        byte_count,
        is_sampled,
        query_hash,
        expires_at,
        has_legal_hold,
        session_id,
        query_tag
{%- endmacro %}
