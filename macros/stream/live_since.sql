{#
    From when on events_live looks into landing: the newest stored instant, less the overlap of
    `since`. A subquery where a view stands as long as the project does. On Snowflake a literal,
    which the refresh renews with each build: by a subquery it skips no partition, and every
    question would read all of landing. An older literal reads more and answers the same.
    https://docs.snowflake.com/en/user-guide/tables-clustering-micropartitions#query-pruning
#}
{% macro live_since() -%}
    {{ return(adapter.dispatch('live_since', 'cdesk')()) }}
{%- endmacro %}

{% macro default__live_since() -%}
    {%- set newest = dbt.dateadd('second', -cdesk.overlap_seconds(), 'max(newest._landed_at)') -%}
    (
        select coalesce({{ newest }}, cast('0001-01-01' as {{ dbt.type_timestamp() }}))
        from {{ ref('events') }} as newest
        where newest._landed_at <= {{ cdesk.utc_now() }}
    )
{%- endmacro %}

{% macro snowflake__live_since() -%}
    {%- if execute and flags.WHICH in ('build', 'run', 'retry') -%}
        {{ cdesk.since(ref('events')) }}
    {%- else -%}
        {{ cdesk.default__live_since() }}
    {%- endif -%}
{%- endmacro %}
