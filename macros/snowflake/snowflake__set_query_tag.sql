{#
    Every statement of a model carries `cdesk_[8 hex]`, so that its seconds, bytes and credits can
    be read from QUERY_HISTORY. What it goes back to is the profile's own tag, not what the session
    had: that would be a failed model's.
#}
{% macro snowflake__set_query_tag() -%}
    {% do run_query("alter session set query_tag = '" ~ cdesk.model_query_tag() ~ "'") %}
    {{ return(target.get('query_tag') or '') }}
{%- endmacro %}
