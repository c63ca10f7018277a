{#
    What the cohort has to provide: its output columns, the values that appends compare with, and,
    only where somebody needs them, each row's occurrence and the instants of its neighbours.
#}
{% macro _as_plan_cohort(cohort, plans, query, cohort_where, numbered) -%}
    {% set where = 'cohort' %}
    {% set spine = query.spine %}
    {% set filters = [] if spine else cdesk._as_filters_sql(where, cohort.filters, query.stream) %}
    {% set activity = cohort.activity if spine else cohort %}
    {% set stream = cdesk._as_spine_stream() if spine else query.stream %}
    {% if spine %}
        {% set numbering = {'activity_repeated_at': '_next_ts'} %}
        {% set stored = false %}
        {% set default = ['activity_id', 'customer', 'ts'] %}
    {% else %}
        {% set stored = not filters and cdesk._as_is_numbered(cohort, query) %}
        {% set numbering = cdesk._as_numbering(query, cohort, stored) %}
        {% set default = ['activity_id', 'customer', 'ts'] %}
    {% endif %}
    {% set values = [] %}
    {% set outputs = [] %}
    {% set columns = default if cohort.columns is none else cohort.columns %}
    {% for given in cdesk._as_columns_of(where, columns) %}
        {% set value = cdesk._as_value(where, given, stream, numbering) %}
        {% if value.function is defined %}
            {% do cdesk._as_raise(
                where, 'columns', value.function,
                'columns and features: a cohort has nothing to aggregate',
            ) %}
        {% endif %}
        {% do outputs.append({'name': value['as'] or value.name, 'type': value.type}) %}
        {% do values.append({'sql': value.sql, 'name': outputs[-1].name}) %}
    {% endfor %}
    {% for plan in plans if plan.conditions is defined %}
        {% for leaf in plan.conditions.leaves if leaf.cohort is not none and not leaf.computed %}
            {% set value = cdesk._as_value(where, leaf.cohort, stream, numbering) %}
            {% do cdesk._as_check_comparable(where, leaf.value, value) %}
            {% do values.append({'sql': value.sql, 'name': leaf.name}) %}
        {% endfor %}
    {% endfor %}
    {% set chosen = cdesk._as_filters_sql(
        where, cohort.get('where', []), stream, numbering, 'where'
    ) %}
    {% set picks = cohort.get('occurrence', 'all') != 'all' or cohort_where %}
    {{ return({
        'cohort': cohort, 'query': query, 'stream': query.stream, 'scope': query.scope,
        'who': query.who, 'somebody': query.somebody, 'filters': filters,
        'stored': stored, 'numbering': numbering, 'numbered': numbered,
        'row_id': none if spine else cdesk._as_row_id(query.stream, cohort.name),
        'values': values, 'outputs': outputs, 'cohort_where': cohort_where, 'chosen': chosen,
        'needs_occurrence': picks,
        'needs_next': picks or plans | selectattr('needs_next') | list | length > 0,
        'needs_previous': plans | selectattr('needs_previous') | list | length > 0,
        'needs_row': plans | selectattr('form', 'in', ['pairs', 'rolling']) | list | length > 0,
    }) }}
{%- endmacro %}
