{#
    Whether the whole text matches a POSIX pattern (no backslashes in it: the engines quote them
    differently).
#}
{% macro matches(text, pattern) -%}
    {{ return(adapter.dispatch('matches', 'cdesk')(text, pattern)) }}
{%- endmacro %}

{#
    https://docs.snowflake.com/en/sql-reference/functions/regexp_like: anchored at both ends by
    itself.
#}
{% macro default__matches(text, pattern) -%}
    regexp_like({{ text }}, '{{ pattern }}')
{%- endmacro %}

{% macro duckdb__matches(text, pattern) -%}
    regexp_full_match({{ text }}, '{{ pattern }}')
{%- endmacro %}
