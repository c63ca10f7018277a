{#
    Whether the loader of a line of `landed_lines` may name its customer; true on an engine without
    loaders.
#}
{% macro not_foreign(lines) -%}
    {{ return(adapter.dispatch('not_foreign', 'cdesk')(lines)) }}
{%- endmacro %}

{% macro default__not_foreign(lines) -%}
    true
{%- endmacro %}

{% macro snowflake__not_foreign(lines) -%}
    not coalesce({{ lines }}.is_foreign, true)
{%- endmacro %}
