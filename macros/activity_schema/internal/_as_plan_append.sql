{#
    What one append needs, checked. Besides what was asked for:

        values      [{'sql', 'type', 'function', 'name', 'out', …}]; `name` inside, `out` outside
        conditions  what `_as_plan_conditions` makes of the conditions
        low, high   the limits of the appended row's time
        checks      what is left to be checked on the row found
        stored      whether the stream's own numbering serves this append: its customers, one
                    activity, no filter and no partition
        form        the macro that writes its CTEs
        sorts       whether that form has an ASOF join in it
#}
{% macro _as_plan_append(append, index, query) -%}
    {% set stream = query.stream %}
    {% do cdesk._as_check_macro_exists('dataset', append) %}
    {% if append is not mapping or append.kind != 'append' %}
        {% do cdesk._as_raise(
            'dataset', 'appends', append, 'a list of relationships, such as cdesk.first_before(…)'
        ) %}
    {% endif %}
    {% set activity = append.activity %}
    {% set relationship = append.relationship %}
    {% set pick = relationship.split('_')[0] %}
    {% set aggregate = pick == 'aggregate' %}
    {% set span = relationship[(pick | length) + 1:].replace('all_ever', 'ever') %}
    {% set where = relationship ~ '(' ~ cdesk._as_activity_text(activity.name) ~ ')' %}
    {% set filters = cdesk._as_filters_sql(where, activity.filters, stream) %}
    {% set stored = not filters and cdesk._as_is_numbered(activity, query) %}
    {% set numbering = cdesk._as_numbering(query, activity, stored) %}
    {% set conditions = cdesk._as_plan_conditions(where, append, index, stream, numbering, span) %}
    {% set limits = cdesk._as_span_bounds(span, query.spine, query.instant) %}
    {% set windowed = span in ['in_between', 'between_before'] %}
    {% if windowed %}
        {% set joined = dict(limits, left=conditions.bounds) %}
    {% else %}
        {% set joined = cdesk._as_join_bounds(limits, conditions.bounds) %}
    {% endif %}
    {% set checks = conditions.checks + joined.left %}
    {% set scope = [query.scope, append.get('only_if')] | select | join('\n        and ') %}
    {% set values = cdesk._as_append_values(where, append, stream, numbering, aggregate) %}
    {% set plan = {
        'index': index, 'relationship': relationship, 'pick': pick, 'span': span,
        'name': activity.name, 'nth': append.nth, 'stream': stream, 'scope': scope,
        'filters': filters, 'who': query.who, 'somebody': query.somebody,
        'numbering': numbering, 'values': values,
        'row_id': cdesk._as_row_id(stream, activity.name),
        'conditions': conditions, 'keys': ['_who'] + conditions['keys'],
        'low': joined.get('low'), 'high': joined.get('high'), 'checks': checks,
        'stored': stored and not conditions['keys'], 'spine': query.spine, 'aggregate': aggregate,
        'needs_next': span == 'in_between', 'needs_previous': span == 'between_before',
        'windowed': windowed,
    } %}
    {% set form = cdesk._as_form(plan) %}
    {% do plan.update({
        'form': form, 'sorts': form in cdesk._as_sorting_forms(),
        'outputs': cdesk._as_outputs(values),
    }) %}
    {{ return(plan) }}
{%- endmacro %}

{#
    The form follows what is picked and which limits there are. `pairs`, a join of rows with rows,
    is left for what no order of rows answers: conditions other than equality outside of a window
    between cohort rows, and what of the aggregates between two limits isn't `rolling`.
#}
{% macro _as_form(plan) -%}
    {% set checked = plan.checks | length > 0 %}
    {% if plan.windowed %}
        {% if plan.conditions.computed %}{{ return('pairs') }}{% endif %}
        {% if plan.aggregate or checked %}{{ return('windowed') }}{% endif %}
    {% elif checked %}
        {{ return('pairs') }}
    {% elif plan.aggregate %}
        {% if not plan.low and not plan.high %}{{ return('grouped') }}{% endif %}
        {% set running = cdesk._as_running_functions() %}
        {% set others = plan['values'] | rejectattr('function', 'in', running) | list %}
        {% if plan.low and plan.high and cdesk._as_is_rolling(plan) %}
            {{ return('rolling') }}
        {% endif %}
        {{ return('pairs' if (plan.low and plan.high) or others else 'running') }}
    {% endif %}
    {% if plan.pick == 'last' %}
        {{ return('nearest' if plan.high else 'one_a_customer') }}
    {% endif %}
    {% if not plan.low %}{{ return('one_a_customer') }}{% endif %}
    {{ return('nearest' if plan.pick == 'first' else 'counted') }}
{%- endmacro %}

{# The forms that have an ASOF join in them. #}
{% macro _as_sorting_forms() -%}
    {{ return(['windowed', 'running', 'counted', 'nearest', 'rolling']) }}
{%- endmacro %}

{# The columns of an append, with those that only a ratio needs at the end. #}
{% macro _as_append_values(where, append, stream, numbering, aggregate) -%}
    {% set default = [cdesk.agg('count')] if aggregate else ['activity_id', 'ts'] %}
    {% set columns = append.columns if append.columns is not none else default %}
    {% set nth = ('_' ~ append.nth) if append.nth is integer else '' %}
    {% set named = append.relationship ~ nth ~ '_'
        ~ cdesk._as_activity_slug(append.activity.name) %}
    {% set prefix = named if append.prefix is none else append.prefix %}
    {% do cdesk._as_check_name(where, 'prefix', prefix) %}
    {% set values = [] %}
    {% set parts = [] %}
    {% for given in cdesk._as_columns_of(where, columns) %}
        {% set value = cdesk._as_value(where, given, stream, numbering) %}
        {% if aggregate != (value.function is defined) %}
            {% do cdesk._as_raise(
                where, 'columns', value.name,
                'aggregates, as cdesk.agg(…)' if aggregate
                else 'columns and features; aggregates belong to aggregate_…',
            ) %}
        {% endif %}
        {% set out = value['as'] or prefix ~ '_' ~ value.name %}
        {% set function = value.get('function') %}
        {% set value = dict(value, name='_v_' ~ loop.index, out=out, function=function) %}
        {% if value.function == 'ratio' %}
            {% set names = ['_r_' ~ loop.index ~ '_1', '_r_' ~ loop.index ~ '_2'] %}
            {% do parts.append(dict(value.of[0], name=names[0], out=none)) %}
            {% do parts.append(dict(value.of[1], name=names[1], out=none)) %}
            {% do value.update({'of': [parts[-2], parts[-1]]}) %}
        {% endif %}
        {% do values.append(value) %}
    {% endfor %}
    {{ return(values + parts) }}
{%- endmacro %}

{# The output columns and their types. #}
{% macro _as_outputs(values) -%}
    {% set outputs = [] %}
    {% for value in values if value.out %}
        {% do outputs.append({'name': value.out, 'type': cdesk._as_result_type(value)}) %}
    {% endfor %}
    {{ return(outputs) }}
{%- endmacro %}

{# Whether the stream holds the numbers of this activity's rows. #}
{% macro _as_is_numbered(activity, query) -%}
    {% set columns = query.stream.columns %}
    {% set one = activity.name is string and activity.name != '*' or activity.name is mapping %}
    {{ return(
        one and not query.entity
        and columns.activity_occurrence.column and columns.activity_repeated_at.column
    ) }}
{%- endmacro %}

{#
    Each row's occurrence, and the instants of the next and the previous one. A row of nobody, or
    without a time, relates to nothing, not even to another such row: it has none of them.
#}
{% macro _as_numbering(query, activity, stored) -%}
    {% set columns = query.stream.columns %}
    {% set ts = columns.ts.column %}
    {% set row_id = cdesk._as_row_id(query.stream, activity.name) %}
    {% set over = 'over (partition by ' ~ query.who ~ ' order by ' ~ ts ~ ', ' ~ row_id ~ ')' %}
    {% set known = 'case when ' ~ query.who ~ ' is not null and ' ~ ts ~ ' is not null then ' %}
    {% set numbering = {'previous': known ~ 'lag(' ~ ts ~ ') ' ~ over ~ ' end'} %}
    {% if stored %}
        {{ return(dict(
            numbering, activity_occurrence=columns.activity_occurrence.column,
            activity_repeated_at=columns.activity_repeated_at.column,
        )) }}
    {% endif %}
    {{ return(dict(
        numbering, activity_occurrence=known ~ 'row_number() ' ~ over ~ ' end',
        activity_repeated_at=known ~ 'lead(' ~ ts ~ ') ' ~ over ~ ' end',
    )) }}
{%- endmacro %}

{# What orders rows of one instant: the id, which is unique for each activity alone. #}
{% macro _as_row_id(stream, name) -%}
    {% set id = stream.columns.activity_id.column %}
    {% if name is mapping or (name is string and name != '*') %}{{ return(id) }}{% endif %}
    {{ return(cdesk._as_pair(id, stream.columns.activity.column)) }}
{%- endmacro %}

{# Two values as one that orders by the first, then by the second. #}
{% macro _as_pair(first, second) -%}
    {{ return(adapter.dispatch('_as_pair', 'cdesk')(first, second)) }}
{%- endmacro %}

{% macro default___as_pair(first, second) -%}
    {{ return('row(' ~ first ~ ', ' ~ second ~ ')') }}
{%- endmacro %}

{% macro snowflake___as_pair(first, second) -%}
    {{ return('cast(' ~ first ~ ' as varchar) || chr(1) || ' ~ second) }}
{%- endmacro %}
