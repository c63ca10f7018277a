{#
    The `landed_at` of the oldest line of a revision, or of the oldest that may become one, as a
    literal of the build, by which Snowflake skips the part of landing before (macro live_since);
    nothing where that doesn't matter.
#}
{% macro oldest_revision() -%}
    {{ return(adapter.dispatch('oldest_revision', 'cdesk')()) }}
{%- endmacro %}

{% macro default__oldest_revision() -%}
    {{ return(none) }}
{%- endmacro %}

{% macro snowflake__oldest_revision() -%}
    {%- if not execute or flags.WHICH not in ('build', 'run', 'retry') -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set bounds = [cdesk.since(ref('events')) | trim] -%}
    {%- if cdesk.build_mark('newest in _ingest_ids') is none -%}
        {%- set oldest = run_query(
            "select " ~ cdesk.timestamp_text('min(landed_at)') ~ " from " ~ ref('_ingest_ids')
            ~ " where kind = 'revision'"
        ).rows[0][0] -%}
        {%- do bounds.append(cdesk._timestamp_literal(oldest)) if oldest -%}
    {%- else -%}
        {%- set mark = cdesk.build_mark('oldest revision') -%}
        {%- do bounds.append(mark) if mark -%}
    {%- endif -%}
    {{ return(bounds | min) }}
{%- endmacro %}
