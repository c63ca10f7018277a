{#
    One append by the relationship's name, for callers that hold it as data. The macros beside this
    one are a line over it each: what is picked (`first`, `last`, `nth`, `aggregate`) and of which
    rows. Fifteen of their names are the ActivitySchema 2.0 specification's; what each means, with a
    drawing, is in docs/relationships.md.
#}
{% macro append(relationship, activity, columns=none, conditions=[], prefix=none, nth=none) -%}
    {% do cdesk._as_check_arguments(
        'append', ['relationship', 'activity', 'columns', 'conditions', 'prefix', 'nth'],
        kwargs, varargs, [relationship, activity],
    ) %}
    {% set allowed = cdesk._as_relationships() %}
    {% do cdesk._as_check_one_of('append', 'relationship', relationship, allowed) %}
    {% set named = activity is mapping and activity.kind == 'activity' %}
    {% set activity = activity if named else cdesk.activity(activity) %}
    {% if activity.occurrence != 'all' or activity.where %}
        {% do cdesk._as_raise(
            relationship, 'occurrence', activity.where or activity.occurrence,
            "'all': the relationship itself says which occurrence is appended",
        ) %}
    {% endif %}
    {% if relationship.startswith('nth_') %}
        {% do cdesk._as_check_nth(relationship, nth) %}
    {% elif nth is not none %}
        {% do cdesk._as_raise(relationship, 'nth', nth, 'nothing: only nth_… takes it') %}
    {% endif %}
    {{ return({
        'kind': 'append', 'relationship': relationship, 'activity': activity,
        'conditions': conditions, 'prefix': prefix, 'nth': nth,
        'columns': columns if columns is not none else activity.columns,
    }) }}
{%- endmacro %}
