{#
    A stream with activity_occurrence and activity_repeated_at, for an incremental model: exact in
    any order of arrival, as `events` is. By default of the registered activities.

        -- our_stream.sql
        {{ config(materialized='incremental', unique_key=['activity', 'activity_id']) }}
        {{ cdesk.numbered_stream() }}

    A build writes the activities that the table doesn't hold yet, and the stored ones that these
    renumber. The first row of an (activity, activity_id) counts, for good: a row that changes
    afterwards, or goes, needs a full refresh. Rows are numbered for each customer (or, without one,
    anonymous customer) and activity by (ts, activity_id); a row of nobody, or without a time, has
    no number.
#}
{% macro numbered_stream(stream=none) -%}
{%- do cdesk._as_check_arguments('numbered_stream', ['stream'], kwargs, varargs) -%}
    {% if stream is none %}
        {% set stream = cdesk.stream('(' ~ cdesk.activities_stream() ~ ') as activities') %}
    {% endif %}
    {% set stored = this if is_incremental() else none %}
    {{ return(cdesk._as_numbered_sql(cdesk._as_stream_of(stream), stored)) }}
{%- endmacro %}

{# `stored` is the table so far, or none. #}
{% macro _as_numbered_sql(stream, stored) -%}
{%- set names = cdesk._as_stream_names(stream) -%}
{%- set anonymous = 'anonymous_customer_id' -%}
{%- set own = {} if anonymous in names else {anonymous: none} -%}
{%- set known = '_as_who is not null and ts is not null' -%}
{%- set over = 'over (partition by _as_who, activity order by ts, activity_id)' -%}
with

activities as (
    select
        {%- for name in names %}
        {{ stream.columns[name].column }} as {{ name }},
        {%- endfor %}
        {{ cdesk._as_who(stream) }} as _as_who
    from {{ stream.relation }}
    qualify row_number() over (
        partition by {{ stream.columns.activity.column }}, {{ stream.columns.activity_id.column }}
        order by {{ stream.columns.ts.column }}
    ) = 1
),
{%- if stored %}

held as (
    select
        *,
        {{ cdesk._as_who(cdesk.stream(stored, own)) }} as _as_who
    from {{ stored }}
),

added as (
    select *
    from activities as a
    where not exists (
        select 1
        from held
        where held.activity = a.activity and held.activity_id = a.activity_id
    )
),

countable as (
    select * from added
    where {{ known }}
),

numbered as (
    {{ cdesk.renumber('held', 'countable', customer='_as_who', id='activity_id') }}
),

detailed as (
    select {{ names | join(', ') }} from added
    union all
    select {{ names | join(', ') }} from held
),

final as (
    select
        {%- for name in names %}
        detailed.{{ name }},
        {%- endfor %}
        {{ cdesk._as_number_columns(
            'numbered.activity_occurrence', 'numbered.activity_repeated_at'
        ) }}
    from numbered
    inner join detailed
        on
            numbered.activity = detailed.activity
            and numbered.activity_id = detailed.activity_id
{%- else %}

added as (
    select * from activities
),

final as (
    select
        {%- for name in names %}
        {{ name }},
        {%- endfor %}
        {{ cdesk._as_number_columns('row_number() ' ~ over, 'lead(ts) ' ~ over) }}
    from added
    where {{ known }}
{%- endif %}
    union all
    select
        {%- for name in names %}
        {{ name }},
        {%- endfor %}
        {{ cdesk._as_number_columns('null', 'null') }}
    from added
    where not ({{ known }})
)

select * from final
{%- endmacro %}

{% macro _as_number_columns(occurrence, repeated_at) -%}
cast({{ occurrence }} as {{ dbt.type_bigint() }}) as activity_occurrence,
        cast({{ repeated_at }} as {{ dbt.type_timestamp() }}) as activity_repeated_at
{%- endmacro %}

{# What a stream declares, but for the two numbers. #}
{% macro _as_stream_names(stream) -%}
    {% set names = [] %}
    {% set numbers = ['activity_occurrence', 'activity_repeated_at'] %}
    {% for name, found in stream.columns.items() if found.column and name not in numbers %}
        {% do names.append(name) %}
    {% endfor %}
    {{ return(names) }}
{%- endmacro %}
