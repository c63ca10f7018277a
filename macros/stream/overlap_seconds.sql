{#
    How far behind its own newest row an incremental model looks again, in seconds: the var
    `cdesk__overlap_seconds`, else what the engine's loaders need. One loader writes to DuckDB; to
    Snowflake there write many, so that a line may be stamped some minutes before it can be seen.
#}
{% macro overlap_seconds() -%}
    {%- set given = var('cdesk__overlap_seconds', none) -%}
    {%- if given is not none -%}{{ return(given | int) }}{%- endif -%}
    {{ return(adapter.dispatch('overlap_seconds', 'cdesk')()) }}
{%- endmacro %}

{% macro default__overlap_seconds() -%}
    {{ return(0) }}
{%- endmacro %}

{% macro snowflake__overlap_seconds() -%}
    {{ return(300) }}
{%- endmacro %}
