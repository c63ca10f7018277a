{#
    Names an activity, as a cohort or to be appended. `activity`, `filter`, `column`, `feature` and `agg` only describe what is wanted, as plain
    mappings; `dataset` checks the whole of it and writes the SQL.

    A filter defines the activity: occurrences, "first", "last" and "next" are counted among the rows that pass.
#}
{% macro activity(name, occurrence='all', filters=[], columns=none, nth=none) -%}
    {% set where = 'activity(' ~ name ~ ')' %}
    {% do cdesk._as_check_activity_name(name, where) %}
    {% do cdesk._as_check_one_of(where, 'occurrence', occurrence, ['all', 'first', 'last', 'nth']) %}
    {% if occurrence == 'nth' %}
        {% do cdesk._as_check_nth(where, nth) %}
    {% elif nth is not none %}
        {% do cdesk._as_raise(where, 'nth', nth, "nothing, unless occurrence is 'nth'") %}
    {% endif %}
    {{ return({
        'kind': 'activity', 'name': name, 'occurrence': occurrence, 'nth': nth, 'filters': filters, 'columns': columns,
    }) }}
{%- endmacro %}

{# A condition on one value of an activity's own row: equals, in, between, is null, is not null. #}
{% macro filter(value, operator, operand=none) -%}
    {{ return({'kind': 'filter', 'value': value, 'operator': operator, 'operand': operand}) }}
{%- endmacro %}

{# A condition between a value of the appended row and a value of the cohort row. #}
{% macro condition(append_value, operator, cohort_value) -%}
    {{ return({'kind': 'condition', 'append': append_value, 'operator': operator, 'cohort': cohort_value}) }}
{%- endmacro %}

{# A column of the stream under another output name. A plain string does where the default name will do. #}
{% macro column(name, as=none) -%}
    {{ return({'kind': 'column', 'column': name, 'as': as}) }}
{%- endmacro %}

{# A top-level key of feature_json, read as a declared type; what isn't of that type reads as null. #}
{% macro feature(key, type='string', as=none) -%}
    {{ return({'kind': 'feature', 'key': key, 'type': type, 'as': as}) }}
{%- endmacro %}

{# An aggregate over the related rows. `of` may be left out for `count`. #}
{% macro agg(function, of=none, as=none) -%}
    {{ return({'kind': 'aggregate', 'function': function, 'of': of, 'as': as}) }}
{%- endmacro %}
