{#
    The SafeSQL template of one relationship, on `events`. Which activities, which of the cohort's
    occurrences, which span, what rows relate by, how far apart they may be and whether the same
    instant counts are bound, so that the SQL is the same for all. `since` and `until` choose cohort
    rows; occurrences and windows are counted over the whole history all the same.
#}
{% macro relationship_template(relationship) -%}
    {% do cdesk._as_check_arguments(
        'relationship_template', ['relationship'],
        kwargs, varargs, [relationship],
    ) %}
    {% set columns = [
        cdesk.column('activity_id', as='append_activity_id'), cdesk.column('ts', as='append_ts'),
        cdesk.column('revenue_impact', as='append_revenue_impact'),
        cdesk.column('link', as='append_link'),
        cdesk.column('feature_json', as='append_feature_json'),
    ] %}
    {% set nth = none %}
    {% if relationship.startswith('nth_') %}
        {% set own = cdesk.bind_as('append_nth', 'integer') %}
        {% set nth = {'sql': 'coalesce(' ~ own ~ ', ' ~ cdesk.bind_as('nth', 'integer') ~ ')'} %}
    {% endif %}
    {% set order = 'c.ts desc nulls last, c.customer, c.activity_id desc' %}
    {% set limits = [cdesk._as_bound_within()] %}
    {% if relationship.startswith('aggregate_') %}
        {{ return(cdesk._as_aggregate_template(relationship, limits, order)) }}
    {% endif %}
    {% set appended = cdesk.activity({'sql': cdesk.bind('append_activity')}) %}
    {{ return(cdesk._as_template_dataset(
        [cdesk.append(relationship, appended, columns, limits, nth=nth)], order
    )) }}
{%- endmacro %}

{#
    Aggregates over the rows within a distance join rows with rows, those over a whole span don't:
    each is asked, of the rows of one of the two questions, and the other has none to read.
#}
{% macro _as_aggregate_template(relationship, limits, order) -%}
{%- set names = ['append_count', 'append_revenue', 'append_first_ts', 'append_last_ts'] -%}
{%- set head = ['activity_id', 'customer', 'ts', 'activity_occurrence'] -%}
{%- set appended = cdesk.activity({'sql': cdesk.bind('append_activity')}) -%}
{%- set limited = cdesk.bind_as('within_days', 'double') ~ ' is not null' -%}
{%- set appends = [] -%}
{%- for prefix in ['all_', 'near_'] -%}
    {%- set columns = [
        cdesk.agg('count', as=prefix ~ names[0]),
        cdesk.agg('sum', 'revenue_impact', as=prefix ~ names[1]),
        cdesk.agg('min', 'ts', as=prefix ~ names[2]),
        cdesk.agg('max', 'ts', as=prefix ~ names[3]),
    ] -%}
    {%- set near = prefix == 'near_' -%}
    {%- set append = cdesk.append(relationship, appended, columns, limits if near else []) -%}
    {%- do appends.append(
        dict(append, only_if=limited if near else 'not (' ~ limited ~ ')')
    ) -%}
{%- endfor -%}
with

related as (
    {{ cdesk._as_template_dataset(appends) }}
)

select
    {%- for name in head %}
    c.{{ name }},
    {%- endfor %}
    {%- for name in names %}
    case when {{ limited }} then c.near_{{ name }} else c.all_{{ name }} end as {{ name }}
    {{- ',' if not loop.last }}
    {%- endfor %}
from related as c
order by {{ order }}
{%- endmacro %}

{% macro _as_template_dataset(appends, order=none) -%}
    {{ return(cdesk._as_dataset_sql(
        cohort=cdesk.activity(
            {'sql': cdesk.bind('cohort_activity')},
            columns=['activity_id', 'customer', 'ts', 'activity_occurrence'],
        ),
        appends=appends,
        stream=cdesk.events_stream(),
        entity={'sql': cdesk._as_bound_entity()},
        scope=cdesk.caller_rows('customer'),
        cohort_where=cdesk._as_bound_cohort(),
        order_by=order,
        instant='case when ' ~ cdesk.bind_as('same_instant', 'boolean') ~ ' then 1 else 0 end',
    )) }}
{%- endmacro %}

{# Which cohort rows: `cohort_occurrence` and `nth`, `since` and `until`, all of them bound. #}
{% macro _as_bound_cohort() -%}
    {% set condition -%}
case {{ cdesk.bind('cohort_occurrence') }}
            when 'first' then _occurrence = 1
            when 'last' then _next_ts is null and _who is not null
            when 'nth' then _occurrence = {{ cdesk.bind_as('nth', 'integer') }}
            else true
        end
        and {{ cdesk.bound_span('_ts') }}
    {%- endset %}
    {{ return(condition) }}
{%- endmacro %}

{# By what rows relate: the bound `entity`. #}
{% macro _as_bound_entity() -%}
    {% set customer = cdesk._as_who(cdesk.events_stream()) %}
    {{ return(
        'case ' ~ cdesk.bind('entity') ~ " when 'session' then _session_id when 'project' then "
        ~ cdesk.json_string('_feature_json', 'project') | trim
        ~ " when 'source_system' then _source_system else " ~ customer ~ ' end'
    ) }}
{%- endmacro %}

{# The bound `within_days`, in whole seconds; without it there is no limit. #}
{% macro _as_bound_within() -%}
    {% set days = cdesk.bind_as('within_days', 'double') %}
    {{ return({
        'kind': 'within', 'near': none,
        'far': {'sql': 'cast(round(' ~ days ~ ' * 86400) as bigint)', 'unit': 'second'},
    }) }}
{%- endmacro %}
