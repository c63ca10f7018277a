{# The tag of the model at hand in this invocation. #}
{% macro model_query_tag() -%}
    {{ return('cdesk_' ~ local_md5(invocation_id ~ ':' ~ model.unique_id)[:8]) }}
{%- endmacro %}
