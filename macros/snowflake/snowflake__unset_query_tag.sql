{% macro snowflake__unset_query_tag(original_query_tag) -%}
    {% if original_query_tag %}
        {% do run_query("alter session set query_tag = '" ~ original_query_tag ~ "'") %}
    {% else %}
        {% do run_query("alter session unset query_tag") %}
    {% endif %}
{%- endmacro %}
