{#
    Names an activity, as a cohort or to be appended: one name, a list of names, or '*' for all.
    What describes a question (`activity`, `filter`, `column`, …) returns a plain mapping;
    `dataset` checks the whole of it and writes the SQL.

    A filter defines the activity: occurrences, "first", "last" and "next" are counted among the
    rows that pass. `where` then picks cohort rows among the counted ones.
#}
{% macro activity(name, occurrence='all', filters=[], columns=none, nth=none, where=[]) -%}
    {% do cdesk._as_check_arguments(
        'activity', ['name', 'occurrence', 'filters', 'columns', 'nth', 'where'],
        kwargs, varargs, [name],
    ) %}
    {% set named = 'activity(' ~ cdesk._as_activity_text(name) ~ ')' %}
    {% do cdesk._as_check_activity_name(name, named) %}
    {% set occurrences = ['all', 'first', 'last', 'nth'] %}
    {% do cdesk._as_check_one_of(named, 'occurrence', occurrence, occurrences) %}
    {% if occurrence == 'nth' %}
        {% do cdesk._as_check_nth(named, nth) %}
    {% elif nth is not none %}
        {% do cdesk._as_raise(named, 'nth', nth, "nothing, unless occurrence is 'nth'") %}
    {% endif %}
    {{ return({
        'kind': 'activity', 'name': name, 'occurrence': occurrence, 'nth': nth, 'filters': filters,
        'columns': columns, 'where': where,
    }) }}
{%- endmacro %}
