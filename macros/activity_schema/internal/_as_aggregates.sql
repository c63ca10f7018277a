{# Each aggregate, and the types of the values that it takes. #}
{% macro _as_aggregates() -%}
    {% set numbers = ['integer', 'number'] %}
    {% set plain = ['string', 'integer', 'number', 'boolean', 'timestamp', 'date'] %}
    {{ return({
        'count': cdesk._as_types(), 'count_distinct': plain, 'approx_count_distinct': plain,
        'count_if': ['boolean'], 'any': ['boolean'], 'all': ['boolean'],
        'sum': numbers, 'avg': numbers, 'median': numbers, 'percentile': numbers,
        'min': plain, 'max': plain, 'first_value': plain, 'last_value': plain,
        'list': cdesk._as_types(), 'list_distinct': plain, 'text': ['string'],
    }) }}
{%- endmacro %}

{# Those that are 0 where nothing is related; the others are null. #}
{% macro _as_counts() -%}
    {{ return(['count', 'count_distinct', 'approx_count_distinct', 'count_if']) }}
{%- endmacro %}

{# Those that are made of a list of values. #}
{% macro _as_list_functions() -%}
    {{ return(['list', 'list_distinct', 'text']) }}
{%- endmacro %}

{#
    An aggregate, checked: {'sql', 'type', 'function', 'name', 'as', 'share', 'separator'}, where
    `type` is that of the value; a ratio is {'function': 'ratio', 'of': [two aggregates], …}.
#}
{% macro _as_aggregate_value(where, value, stream, numbering) -%}
    {% if value.kind == 'ratio' %}
        {% set parts = [] %}
        {% for part in [value.numerator, value.denominator] %}
            {% if part is not mapping or part.kind != 'aggregate' %}
                {% do cdesk._as_raise(where, 'ratio', part, 'two aggregates, as cdesk.agg(…)') %}
            {% endif %}
            {% set found = cdesk._as_aggregate_value(where, part, stream, numbering) %}
            {% if cdesk._as_result_type(found) not in ['integer', 'number'] %}
                {% do cdesk._as_raise(where, 'ratio', found.name, 'aggregates that are numbers') %}
            {% endif %}
            {% do parts.append(found) %}
        {% endfor %}
        {{ return({
            'function': 'ratio', 'of': parts, 'sql': none, 'type': 'number', 'as': value['as'],
            'name': 'ratio_' ~ parts[0].name ~ '_' ~ parts[1].name,
        }) }}
    {% endif %}
    {% set function = value.function %}
    {% set aggregates = cdesk._as_aggregates() %}
    {% do cdesk._as_check_one_of(where, 'aggregate', function, aggregates.keys() | list) %}
    {% set share = {'median': 0.5}.get(function, value.share) %}
    {% if function == 'percentile' and (share is not number or not 0 <= share <= 1) %}
        {% do cdesk._as_raise(where, 'share of percentile', share, 'a number from 0 to 1') %}
    {% elif value.share is not none and function != 'percentile' %}
        {% do cdesk._as_raise(where, 'share', value.share, 'nothing, unless for percentile') %}
    {% elif value.separator is not none and (function != 'text' or value.separator is not string) %}
        {% do cdesk._as_raise(where, 'separator', value.separator, 'a text, for text alone') %}
    {% endif %}
    {% set of = cdesk._as_aggregated(where, value, stream, numbering) %}
    {% if of.type is not none and of.type not in aggregates[function] %}
        {% do cdesk._as_raise(
            where, function, of.name ~ ' of type ' ~ of.type,
            'a column or feature of type ' ~ aggregates[function] | join(', '),
        ) %}
    {% endif %}
    {{ return({
        'sql': of.sql, 'type': of.type, 'function': function, 'share': share, 'as': value['as'],
        'separator': ', ' if value.separator is none else value.separator,
        'name': function ~ ('_' ~ of.name if of.name else ''),
    }) }}
{%- endmacro %}

{# What is aggregated: a value, a condition as a truth value, or for `count` nothing: the rows. #}
{% macro _as_aggregated(where, value, stream, numbering) -%}
    {% if value.of is none %}
        {% if value.function != 'count' %}
            {% do cdesk._as_raise(
                where, value.function, 'no column', 'a column or feature to aggregate'
            ) %}
        {% endif %}
        {{ return({'sql': none, 'type': none, 'name': none}) }}
    {% endif %}
    {% if value.of is mapping and value.of.kind in ['filter', 'group'] %}
        {% set sql = cdesk._as_filter_sql(where, value.of, stream, numbering) %}
        {{ return({'sql': '(' ~ sql ~ ')', 'type': 'boolean', 'name': 'condition'}) }}
    {% endif %}
    {% set of = cdesk._as_value(where, value.of, stream, numbering) %}
    {% if of.function is defined %}
        {% do cdesk._as_raise(where, value.function, 'an aggregate', 'a column or feature') %}
    {% endif %}
    {{ return(of) }}
{%- endmacro %}

{# The type of an output column. #}
{% macro _as_result_type(value) -%}
    {% set function = value.get('function') %}
    {% if function in cdesk._as_counts() %}{{ return('integer') }}{% endif %}
    {% if function in ['avg', 'median', 'percentile', 'ratio'] %}{{ return('number') }}{% endif %}
    {% if function in ['list', 'list_distinct'] %}{{ return('json') }}{% endif %}
    {{ return(value.type) }}
{%- endmacro %}

{# The aggregates of a plan over grouped rows, as items of a select list. #}
{% macro _as_aggregates_sql(plan) -%}
    {%- for value in plan['values'] if value.function != 'ratio' %},
        {{ cdesk._as_aggregate_sql(value, cdesk._as_list_order(plan)) }} as {{ value.name }}
    {%- endfor -%}
{%- endmacro %}

{% macro _as_aggregate_sql(value, order) -%}
    {% set name = value.name %}
    {% if value.function == 'count_distinct' %}
        {{ return('count(distinct ' ~ name ~ ')') }}
    {% elif value.function == 'list' %}
        {{ return(cdesk._as_list(name, order)) }}
    {% elif value.function == 'text' %}
        {{ return(
            cdesk._as_joined(name, cdesk._as_string_literal(value.separator), order)
        ) }}
    {% elif value.function == 'list_distinct' %}
        {{ return(cdesk._as_list_of_distinct(name)) }}
    {% elif value.function in ['median', 'percentile'] %}
        {{ return(cdesk._as_percentile(name, value.share)) }}
    {% elif value.function in ['first_value', 'last_value'] %}
        {{ return(cdesk._as_extreme(value, value.function == 'last_value')) }}
    {% endif %}
    {{ return(cdesk._as_plain_aggregate(value)) }}
{%- endmacro %}

{#
    The aggregates that are written alike over groups and, with `over`, over windows. A sum of
    integers stays a bigint, whatever wider type the engine adds them up in.
#}
{% macro _as_plain_aggregate(value, over='') -%}
    {% set name = value.name %}
    {% set over = ' ' ~ over if over else '' %}
    {% if value.function == 'count' %}
        {{ return('count(' ~ (name if value.sql else '*') ~ ')' ~ over) }}
    {% elif value.function == 'count_if' %}
        {{ return('count(case when ' ~ name ~ ' then 1 end)' ~ over) }}
    {% elif value.function in ['any', 'all'] %}
        {% set function = 'max' if value.function == 'any' else 'min' %}
        {{ return(
            '(' ~ function ~ '(case when ' ~ name ~ ' then 1 when not ' ~ name ~ ' then 0 end)'
            ~ over ~ ' = 1)'
        ) }}
    {% elif value.function == 'sum' and value.type == 'integer' %}
        {{ return('cast(sum(' ~ name ~ ')' ~ over ~ ' as ' ~ dbt.type_bigint() ~ ')') }}
    {% endif %}
    {{ return(value.function ~ '(' ~ name ~ ')' ~ over) }}
{%- endmacro %}

{# Interpolated between the two nearest values. #}
{% macro _as_percentile(name, share, over='') -%}
    {{ return(adapter.dispatch('_as_percentile', 'cdesk')(name, share, over)) }}
{%- endmacro %}

{% macro default___as_percentile(name, share, over) -%}
    {% set over = ' ' ~ over if over else '' %}
    {{ return('quantile_cont(cast(' ~ name ~ ' as double), ' ~ share ~ ')' ~ over) }}
{%- endmacro %}

{% macro snowflake___as_percentile(name, share, over) -%}
    {{ return('percentile_cont(' ~ share ~ ') within group (order by ' ~ name ~ ')') }}
{%- endmacro %}

{# The first or last value by time that isn't null. #}
{% macro _as_extreme(value, last) -%}
    {{ return(adapter.dispatch('_as_extreme', 'cdesk')(value, last)) }}
{%- endmacro %}

{% macro default___as_extreme(value, last) -%}
    {{ return(
        ('last(' if last else 'first(') ~ value.name ~ ' order by _ts, _activity_id) filter (where '
        ~ value.name ~ ' is not null)'
    ) }}
{%- endmacro %}

{# An array leaves nulls out; min_by and max_by would leave ties open. #}
{% macro snowflake___as_extreme(value, last) -%}
    {% set types = {
        'string': 'varchar', 'integer': 'bigint', 'number': 'double', 'boolean': 'boolean',
        'timestamp': 'timestamp_ntz', 'date': 'date',
    } %}
    {% set direction = ' desc' if last else '' %}
    {{ return(
        'get(array_agg(' ~ value.name ~ ') within group (order by _ts' ~ direction
        ~ ', _activity_id' ~ direction ~ '), 0)::' ~ types[value.type]
    ) }}
{%- endmacro %}
