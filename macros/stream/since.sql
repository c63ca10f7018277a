{#
    The `landed_at` from which an incremental model reads again: the newest it holds, less the overlap (var `overlap_seconds`). It comes from
    the model's own rows, so a build that died between two models heals itself: each resumes where it stopped itself.
    The newest instant is read again, too, and what is known already is sorted out by id.
#}
{% macro since(relation, column='_landed_at') -%}
    {{ return(adapter.dispatch('since', 'cdesk')(relation, column)) }}
{%- endmacro %}

{% macro default__since(relation, column) -%}
    (select {{ cdesk._overlapped("coalesce(max(newest." ~ column ~ "), cast('0001-01-01' as " ~ dbt.type_timestamp() ~ "))") }} from {{ relation }} as newest)
{%- endmacro %}

{% macro _overlapped(timestamp) -%}
    {%- set overlap = var('overlap_seconds', 0) | int -%}
    {%- if overlap == 0 -%}
        {{ timestamp }}
    {%- else -%}
        {{ dbt.dateadd('second', -overlap, timestamp) }}
    {%- endif -%}
{%- endmacro %}
