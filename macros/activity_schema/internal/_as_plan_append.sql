{#
    What one append needs, checked. Besides what was asked for:

        values      [{'sql', 'type', 'function', 'name', 'out'}]; `name` inside, `out` outside
        conditions  [{'name', 'sql', 'operator', 'cohort'}]; `equals` conditions partition the appended rows
        stored      whether the stream's own numbering serves this append: no filter and no partition
        form        the macro that writes its CTEs; `pairs`, a join of rows with rows, only where nothing else can answer it: a condition of
                    order outside a window between two cohort rows
        sorts       whether that form has an ASOF join in it
#}
{% macro _as_plan_append(append, index, stream, scope) -%}
    {% if append is not mapping or append.kind != 'append' %}
        {% do cdesk._as_raise('dataset', 'appends', append, 'a list of relationships, such as cdesk.first_before(…)') %}
    {% endif %}
    {% set activity = append.activity %}
    {% set relationship = append.relationship %}
    {% set aggregate = relationship.startswith('aggregate_') %}
    {% set where = relationship ~ '(' ~ (activity.name.sql if activity.name is mapping else activity.name) ~ ')' %}
    {% set filters = cdesk._as_filters_sql(where, activity.filters, stream) %}
    {% set columns = append.columns if append.columns is not none else ([cdesk.agg('count')] if aggregate else ['activity_id', 'ts']) %}
    {% if columns is string or columns is mapping or columns is not sequence or not columns %}
        {% do cdesk._as_raise(where, 'columns', columns, 'a list of columns') %}
    {% endif %}
    {% set numbered = not filters and stream.columns.activity_occurrence.column and stream.columns.activity_repeated_at.column %}
    {% set numbering = cdesk._as_append_numbering(stream, numbered) %}
    {% set conditions = cdesk._as_plan_conditions(where, append.conditions, index, stream, numbering) %}
    {% set equalities = conditions | selectattr('operator', 'equalto', 'equals') | map(attribute='name') | list %}
    {% set slug = 'activity' if activity.name is mapping else cdesk._as_slug(activity.name) %}
    {% set nth = ('_' ~ append.nth) if append.nth is integer else '' %}
    {% set prefix = append.prefix if append.prefix is not none else relationship ~ nth ~ '_' ~ slug %}
    {% do cdesk._as_check_name(where, 'prefix', prefix) %}
    {% set values = [] %}
    {% for given in columns %}
        {% set value = cdesk._as_value(where, given, stream, numbering) %}
        {% if aggregate != (value.function is defined) %}
            {% do cdesk._as_raise(
                where, 'columns', value.name, 'aggregates, as cdesk.agg(…)' if aggregate else 'columns and features; aggregates belong to aggregate_…'
            ) %}
        {% endif %}
        {% do values.append({
            'sql': value.sql, 'type': value.type, 'function': value.get('function'), 'name': '_v_' ~ loop.index,
            'out': value['as'] or prefix ~ '_' ~ value.name,
        }) %}
    {% endfor %}
    {% set form = cdesk._as_form(relationship, ordered=conditions | length > equalities | length) %}
    {{ return({
        'index': index, 'relationship': relationship, 'name': activity.name, 'nth': append.nth, 'stream': stream, 'scope': scope,
        'filters': filters, 'who': cdesk._as_who(stream), 'numbering': numbering, 'values': values, 'outputs': values | map(attribute='out') | list,
        'conditions': conditions, 'keys': ['_who'] + equalities, 'stored': numbered and not equalities,
        'between': relationship.endswith('_in_between'), 'aggregate': aggregate, 'needs_next': relationship.endswith('_in_between'),
        'form': form, 'sorts': form in ['windowed', 'running', 'counted', 'nearest_row'],
    }) }}
{%- endmacro %}

{# `ordered`: whether there is a condition of order. #}
{% macro _as_form(relationship, ordered) -%}
    {% set between = relationship.endswith('_in_between') %}
    {% if ordered and not between %}{{ return('pairs') }}{% endif %}
    {% if relationship == 'aggregate_in_between' or ordered %}{{ return('windowed') }}{% endif %}
    {% if relationship == 'aggregate_all_ever' %}{{ return('grouped') }}{% endif %}
    {% if relationship in ['aggregate_before', 'aggregate_after'] %}{{ return('running') }}{% endif %}
    {% if relationship == 'nth_after' %}{{ return('counted') }}{% endif %}
    {% if between or relationship in ['last_before', 'first_after'] %}{{ return('nearest_row') }}{% endif %}
    {{ return('one_a_customer') }}
{%- endmacro %}

{% macro _as_append_numbering(stream, numbered) -%}
    {% set columns = stream.columns %}
    {% if numbered %}
        {{ return({
            'activity_occurrence': columns.activity_occurrence.column, 'activity_repeated_at': columns.activity_repeated_at.column,
        }) }}
    {% endif %}
    {% set over = 'over (partition by ' ~ cdesk._as_who(stream) ~ ' order by ' ~ columns.ts.column ~ ', ' ~ columns.activity_id.column ~ ')' %}
    {{ return({'activity_occurrence': 'row_number() ' ~ over, 'activity_repeated_at': 'lead(' ~ columns.ts.column ~ ') ' ~ over}) }}
{%- endmacro %}

{% macro _as_plan_conditions(where, given, index, stream, numbering) -%}
    {% if given is mapping or given is string or given is not sequence %}
        {% do cdesk._as_raise(where, 'conditions', given, 'a list of cdesk.condition(…)') %}
    {% endif %}
    {% set conditions = [] %}
    {% for condition in given %}
        {% if condition is not mapping or condition.kind != 'condition' %}
            {% do cdesk._as_raise(where, 'conditions', condition, 'a list of cdesk.condition(…)') %}
        {% endif %}
        {% do cdesk._as_check_one_of(where, 'condition operator', condition.operator, cdesk._as_comparisons().keys() | list) %}
        {% set value = cdesk._as_value(where, condition.append, stream, numbering) %}
        {% if value.function is defined %}{% do cdesk._as_raise(where, 'condition', value.name, 'a column or feature') %}{% endif %}
        {% do conditions.append({
            'name': '_k_' ~ index ~ '_' ~ loop.index, 'sql': value.sql, 'operator': condition.operator, 'cohort': condition.cohort,
        }) %}
    {% endfor %}
    {{ return(conditions) }}
{%- endmacro %}

{% macro _as_comparisons() -%}
    {{ return({'equals': '=', 'not equals': '!=', 'less than': '<', 'at most': '<=', 'greater than': '>', 'at least': '>='}) }}
{%- endmacro %}
