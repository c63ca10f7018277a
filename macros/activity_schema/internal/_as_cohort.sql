{#
    What the cohort has to provide: its output columns, the values that appends compare with, and, only where somebody needs them, each row's
    occurrence and the instant of the next one.
#}
{% macro _as_plan_cohort(cohort, plans, stream, scope, cohort_where, numbered) -%}
    {% set where = 'cohort' %}
    {% set spine = cohort.kind == 'time_spine' %}
    {% set filters = [] if spine else cdesk._as_filters_sql(where, cohort.filters, stream) %}
    {% set stored = not filters and stream.columns.activity_occurrence.column and stream.columns.activity_repeated_at.column %}
    {% set who = cdesk._as_who(stream) %}
    {% set numbering = {} %}
    {% if spine %}
        {% do numbering.update({'activity_occurrence': none, 'activity_repeated_at': '_next_ts'}) %}
    {% elif stored %}
        {% do numbering.update({
            'activity_occurrence': stream.columns.activity_occurrence.column,
            'activity_repeated_at': stream.columns.activity_repeated_at.column,
        }) %}
    {% else %}
        {# A row of nobody relates to nothing, not even to another such row: it has no occurrence and no next one. #}
        {% set over = 'over (partition by ' ~ who ~ ' order by ' ~ stream.columns.ts.column ~ ', ' ~ stream.columns.activity_id.column ~ ')' %}
        {% do numbering.update({
            'activity_occurrence': 'case when ' ~ who ~ ' is not null then row_number() ' ~ over ~ ' end',
            'activity_repeated_at': 'case when ' ~ who ~ ' is not null then lead(' ~ stream.columns.ts.column ~ ') ' ~ over ~ ' end',
        }) %}
    {% endif %}
    {% set values = [] %}
    {% set outputs = [] %}
    {% if spine %}
        {% do outputs.extend(['activity_id', 'customer', 'ts']) %}
    {% else %}
        {% set columns = cohort.columns if cohort.columns is not none else ['activity_id', 'customer', 'ts'] %}
        {% if columns is string or columns is mapping or columns is not sequence or not columns %}
            {% do cdesk._as_raise(where, 'columns', columns, 'a list of columns') %}
        {% endif %}
        {% for given in columns %}
            {% set value = cdesk._as_value(where, given, stream, numbering) %}
            {% if value.function is defined %}{% do cdesk._as_raise(where, 'columns', value.function, 'columns and features: a cohort has nothing to aggregate') %}{% endif %}
            {% do outputs.append(value['as'] or value.name) %}
            {% do values.append({'sql': value.sql, 'name': outputs[-1]}) %}
        {% endfor %}
    {% endif %}
    {% for plan in plans %}
        {% for condition in plan.conditions %}
            {% if spine and (condition.cohort is not string or condition.cohort not in ['customer', 'ts', 'activity_id']) %}
                {% do cdesk._as_raise(where, 'condition', condition.cohort, 'customer, ts, activity_id of the time spine') %}
            {% endif %}
            {% if spine %}
                {% do values.append({'sql': condition.cohort, 'name': condition.name}) %}
            {% else %}
                {% set value = cdesk._as_value(where, condition.cohort, stream, numbering) %}
                {% if value.function is defined %}{% do cdesk._as_raise(where, 'condition', value.name, 'a column or feature') %}{% endif %}
                {% do values.append({'sql': value.sql, 'name': condition.name}) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {% set first_or_last = cohort.get('occurrence', 'all') != 'all' or cohort_where %}
    {{ return({
        'cohort': cohort, 'stream': stream, 'scope': scope, 'cohort_where': cohort_where, 'filters': filters, 'who': who,
        'numbering': numbering, 'numbered': numbered, 'values': values, 'outputs': outputs,
        'needs_occurrence': first_or_last,
        'needs_next': first_or_last or plans | selectattr('needs_next') | list | length > 0,
        'needs_row': plans | selectattr('form', 'equalto', 'pairs') | list | length > 0,
    }) }}
{%- endmacro %}

{# Whose row it is: the customer, or the anonymous customer where there is none. #}
{% macro _as_who(stream) -%}
    {% set anonymous = stream.columns.anonymous_customer_id.column %}
    {{ return('coalesce(' ~ stream.columns.customer.column ~ ', ' ~ anonymous ~ ')' if anonymous else stream.columns.customer.column) }}
{%- endmacro %}

{#
    Whether `_who`, by which rows are related, is a number given to each of the cohort's customers instead of the customer itself. On DuckDB an ASOF join by
    numbers takes about two thirds of the time of one by text, the numbering included; on Snowflake it isn't measured.
#}
{% macro _as_numbers_customers() -%}
    {{ return(adapter.dispatch('_as_numbers_customers', 'cdesk')()) }}
{%- endmacro %}

{% macro default___as_numbers_customers() -%}
    {{ return(true) }}
{%- endmacro %}

{% macro snowflake___as_numbers_customers() -%}
    {{ return(false) }}
{%- endmacro %}

{% macro _as_cohort_ctes(plan) -%}
{%- set cohort = plan.cohort -%}
{%- if cohort.kind == 'time_spine' -%}
{{ cdesk._as_spine_ctes(plan) }}
{%- else -%}
{%- set columns = plan.stream.columns -%}
{%- set conditions = cdesk._as_row_conditions(cohort.name, plan) -%}
{% if plan.numbered -%}
cohort_customers as (
    select
        _as_name,
        row_number() over (order by _as_name) as _as_number
    from (
        select distinct {{ plan.who }} as _as_name
        from {{ plan.stream.relation }}
        where
            {{ (conditions + [plan.who ~ ' is not null']) | join('\n            and ') }}
    ) as names
),

{% endif -%}
cohort_rows as (
    select
        {{ 'cohort_customers._as_number' if plan.numbered else plan.who }} as _who,
        {{ columns.ts.column }} as _ts,
        {{ columns.activity_id.column }} as _activity_id
        {%- if plan.needs_occurrence %},
        {{ plan.numbering.activity_occurrence }} as _occurrence
        {%- endif %}
        {%- if plan.needs_next %},
        {{ plan.numbering.activity_repeated_at }} as _next_ts
        {%- endif %}
        {%- for value in plan['values'] %},
        {{ value.sql }} as {{ value.name }}
        {%- endfor %}
    from {{ plan.stream.relation }}
    {%- if plan.numbered %}
    left join cohort_customers
        on {{ plan.who }} = cohort_customers._as_name
    {%- endif %}
    where
        {{ conditions | join('\n        and ') }}
),
{% endif %}
cohort as (
    select
        *
        {%- if plan.needs_next %},
        coalesce(_next_ts, {{ cdesk._as_timestamp('9999-12-31') }}) as _end_ts
        {%- endif %}
        {%- if plan.needs_row %},
        row_number() over (order by _who, _ts, _activity_id) as _row
        {%- endif %}
    from cohort_rows
    {%- if cohort.get('occurrence', 'all') != 'all' %}
    where {{ cdesk._as_occurrence_condition(cohort) }}
    {%- elif plan.cohort_where %}
    where {{ plan.cohort_where }}
    {%- endif %}
)
{%- endmacro %}

{# The conditions on a row of the stream: its activity, the scope of the caller, the filters. #}
{% macro _as_row_conditions(name, plan) -%}
    {% set conditions = [
        plan.stream.columns.activity.column ~ ' = ' ~ (name.sql if name is mapping else cdesk._as_string_literal(name))
    ] %}
    {% if plan.scope %}{% do conditions.append(plan.scope) %}{% endif %}
    {{ return(conditions + plan.filters) }}
{%- endmacro %}

{% macro _as_occurrence_condition(cohort) -%}
    {% if cohort.occurrence == 'last' %}{{ return('_next_ts is null and _who is not null') }}{% endif %}
    {{ return('_occurrence = ' ~ (1 if cohort.occurrence == 'first' else cohort.nth)) }}
{%- endmacro %}
