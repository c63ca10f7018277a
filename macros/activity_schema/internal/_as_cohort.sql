{#
    The cohort's CTEs: `cohort_customers`, a number for each customer where the joins need one;
    `cohort_rows`, all occurrences; `cohort`, the rows that the dataset has.
#}
{% macro _as_cohort_ctes(plan) -%}
{%- set cohort = plan.cohort -%}
{%- if plan.query.spine -%}
{{ cdesk._as_spine_ctes(plan) }}
{%- else -%}
{%- set columns = plan.stream.columns -%}
{%- set conditions = cdesk._as_row_conditions(cohort.name, plan) -%}
{%- set known = cdesk._as_known(plan) -%}
{#- By the stream's own numbers each customer is named by one row. -#}
{%- if plan.stored %}{% do known.append(plan.numbering.activity_occurrence ~ ' = 1') %}{% endif -%}
{% if plan.numbered -%}
cohort_customers as {{ cdesk._as_once() }}(
    select
        _as_name,
        {{ cdesk._as_customer_number() }} as _as_number
    from (
        select distinct {{ plan.who }} as _as_name
        from {{ plan.stream.relation }}
        where
            {{ (conditions + known) | join('\n            and ') }}
    ) as names
),

{% endif -%}
cohort_rows as (
    select
        {%- if plan.numbered %}
        cohort_customers._as_number as _who,
        {%- else %}
        case when {{ columns.ts.column }} is not null then {{ plan.who }} end as _who,
        {%- endif %}
        {{ columns.ts.column }} as _ts,
        {{ plan.row_id }} as _activity_id
        {%- if plan.needs_occurrence %},
        {{ plan.numbering.activity_occurrence }} as _occurrence
        {%- endif %}
        {%- if plan.needs_next %},
        {{ plan.numbering.activity_repeated_at }} as _next_ts
        {%- endif %}
        {%- if plan.needs_previous %},
        {{ plan.numbering.previous }} as _previous_ts
        {%- endif %}
        {%- if plan.chosen %},
        {{ plan.chosen | join(' and ') }} as _chosen
        {%- endif %}
        {%- for value in plan['values'] %},
        {{ value.sql }} as {{ value.name }}
        {%- endfor %}
    from {{ plan.stream.relation }}
    {%- if plan.numbered %}
    left join cohort_customers
        on {{ plan.who }} = cohort_customers._as_name and {{ columns.ts.column }} is not null
    {%- endif %}
    {%- if conditions %}
    where
        {{ conditions | join('\n        and ') }}
    {%- endif %}
),
{% endif %}
{%- set picks = cdesk._as_cohort_conditions(plan) %}
cohort as {{ cdesk._as_once() if plan.needs_row }}(
    select
        *
        {%- if plan.needs_row %},
        {{ cdesk._as_row_number() }} as _row
        {%- endif %}
    from cohort_rows
    {%- if picks %}
    where {{ picks | join(' and ') }}
    {%- endif %}
)
{%- endmacro %}

{# Which of the occurrences are the cohort's rows. #}
{% macro _as_cohort_conditions(plan) -%}
    {% set occurrence = plan.cohort.get('occurrence', 'all') %}
    {% set conditions = [] %}
    {% if occurrence == 'last' %}
        {% do conditions.append('_next_ts is null and _who is not null') %}
    {% elif occurrence != 'all' %}
        {% set number = 1 if occurrence == 'first' else plan.cohort.nth %}
        {% do conditions.append('_occurrence = ' ~ number ~ ' and _who is not null') %}
    {% endif %}
    {% if plan.chosen %}{% do conditions.append('_chosen') %}{% endif %}
    {% if plan.cohort_where %}{% do conditions.append(plan.cohort_where) %}{% endif %}
    {{ return(conditions) }}
{%- endmacro %}

{# The conditions on a row of the stream: its activity, the scope of the caller, the filters. #}
{% macro _as_row_conditions(name, plan) -%}
    {% set column = plan.stream.columns.activity.column %}
    {% set conditions = [] %}
    {% if name is mapping %}
        {% do conditions.append(column ~ ' = ' ~ name.sql) %}
    {% elif name is string and name != '*' %}
        {% do conditions.append(column ~ ' = ' ~ cdesk._as_string_literal(name)) %}
    {% elif name is not string %}
        {% set names = [] %}
        {% for item in name %}{% do names.append(cdesk._as_string_literal(item)) %}{% endfor %}
        {% do conditions.append(column ~ ' in (' ~ names | join(', ') ~ ')') %}
    {% endif %}
    {% if plan.scope %}{% do conditions.append(plan.scope) %}{% endif %}
    {{ return(conditions + plan.filters) }}
{%- endmacro %}

{# Only such rows relate to anything. #}
{% macro _as_known(plan) -%}
    {{ return([plan.somebody, plan.stream.columns.ts.column ~ ' is not null']) }}
{%- endmacro %}

{# Some number for each row. #}
{% macro _as_row_number() -%}
    {{ return(adapter.dispatch('_as_row_number', 'cdesk')()) }}
{%- endmacro %}

{# Without an order nothing is sorted, and the rows have to be read once, see `_as_once`. #}
{% macro default___as_row_number() -%}
    {{ return('row_number() over ()') }}
{%- endmacro %}

{% macro snowflake___as_row_number() -%}
    {{ return('row_number() over (order by _who, _ts, _activity_id)') }}
{%- endmacro %}

{# What has a CTE computed once, however often it is read. #}
{% macro _as_once() -%}
    {{ return(adapter.dispatch('_as_once', 'cdesk')()) }}
{%- endmacro %}

{% macro default___as_once() -%}
    {{ return('materialized ') }}
{%- endmacro %}

{% macro snowflake___as_once() -%}
    {{ return('') }}
{%- endmacro %}

{# What has a CTE computed wherever it is read: what it reads is at hand, and it is narrow. #}
{% macro _as_each_time() -%}
    {{ return(adapter.dispatch('_as_each_time', 'cdesk')()) }}
{%- endmacro %}

{% macro default___as_each_time() -%}
    {{ return('not materialized ') }}
{%- endmacro %}

{% macro snowflake___as_each_time() -%}
    {{ return('') }}
{%- endmacro %}
