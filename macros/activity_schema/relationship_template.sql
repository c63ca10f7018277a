{#
    The SafeSQL template of one relationship, on `events`. Which activities, which of the cohort's
    occurrences, which span and what rows relate by are bound, so that the SQL is the same for all.
    `since` and `until` choose cohort rows; occurrences and windows are counted over the whole
    history all the same.
#}
{% macro relationship_template(relationship) -%}
    {% set columns = [
        cdesk.column('activity_id', as='append_activity_id'), cdesk.column('ts', as='append_ts'),
        cdesk.column('revenue_impact', as='append_revenue_impact'),
        cdesk.column('link', as='append_link'),
        cdesk.column('feature_json', as='append_feature_json'),
    ] %}
    {% if relationship.startswith('aggregate_') %}
        {% set columns = [
            cdesk.agg('count', as='append_count'),
            cdesk.agg('sum', 'revenue_impact', as='append_revenue'),
            cdesk.agg('min', 'ts', as='append_first_ts'),
            cdesk.agg('max', 'ts', as='append_last_ts'),
        ] %}
    {% endif %}
    {% set nth = none %}
    {% if relationship.startswith('nth_') %}
        {% set own = cdesk.bind_as('append_nth', 'integer') %}
        {% set nth = {'sql': 'coalesce(' ~ own ~ ', ' ~ cdesk.bind_as('nth', 'integer') ~ ')'} %}
    {% endif %}
    {% set appended = cdesk.activity({'sql': cdesk.bind('append_activity')}) %}
    {{ return(cdesk._as_dataset_sql(
        cohort=cdesk.activity(
            {'sql': cdesk.bind('cohort_activity')},
            columns=['activity_id', 'customer', 'ts', 'activity_occurrence'],
        ),
        appends=[cdesk.append(relationship, appended, columns, nth=nth)],
        stream=cdesk.events_stream(),
        entity={'sql': cdesk._as_bound_entity()},
        scope=cdesk.caller_rows('customer'),
        cohort_where=cdesk._as_bound_cohort(),
        order_by='c.ts desc nulls last, c.customer, c.activity_id desc',
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
        'case ' ~ cdesk.bind('entity') ~ " when 'session' then _session_id"
        ~ " when 'source_system' then _source_system else " ~ customer ~ ' end'
    ) }}
{%- endmacro %}
