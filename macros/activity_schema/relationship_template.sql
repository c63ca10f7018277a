{#
    The SafeSQL template of one relationship, on `events`. Which activities, which of the cohort's occurrences and which span are bound, so that the SQL is
    the same for all of them. `since` and `until` choose cohort rows; occurrences and windows are counted over the whole history all the same.
#}
{% macro relationship_template(relationship) -%}
    {% set columns = [
        cdesk.column('activity_id', as='append_activity_id'), cdesk.column('ts', as='append_ts'),
        cdesk.column('revenue_impact', as='append_revenue_impact'), cdesk.column('link', as='append_link'),
        cdesk.column('feature_json', as='append_feature_json'),
    ] %}
    {% if relationship.startswith('aggregate_') %}
        {% set columns = [
            cdesk.agg('count', as='append_count'), cdesk.agg('sum', 'revenue_impact', as='append_revenue'),
            cdesk.agg('min', 'ts', as='append_first_ts'), cdesk.agg('max', 'ts', as='append_last_ts'),
        ] %}
    {% endif %}
    {% set nth = none %}
    {% if relationship.startswith('nth_') %}
        {% set nth = {'sql': 'coalesce(' ~ cdesk.bind_as('append_nth', 'integer') ~ ', ' ~ cdesk.bind_as('nth', 'integer') ~ ')'} %}
    {% endif %}
    {% set append = cdesk.append(relationship, cdesk.activity({'sql': cdesk.bind('append_activity')}), columns, nth=nth) %}
    {{ return(cdesk._as_dataset_sql(
        cohort=cdesk.activity(
            {'sql': cdesk.bind('cohort_activity')}, columns=['activity_id', 'customer', 'ts', 'activity_occurrence']
        ),
        appends=[append],
        stream=cdesk.events_stream(),
        scope=cdesk.caller_rows('customer'),
        cohort_where=cdesk._as_bound_cohort(),
        order_by='c.customer, c.ts, c.activity_id',
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

{# At or after the bound `since` and before the bound `until`; each may be null. #}
{% macro bound_span(column) -%}
    {{ column }} >= coalesce({{ cdesk.bind_as('since', 'timestamp') }}, {{ column }})
        and {{ column }} < coalesce({{ cdesk.bind_as('until', 'timestamp') }}, {{ cdesk._as_timestamp('9999-12-31') }})
{%- endmacro %}
