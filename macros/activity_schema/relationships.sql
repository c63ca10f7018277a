{#
    The relationships of the ActivitySchema 2.0 specification, one macro each, in one file because each is one line over `_as_append`.
    Their meaning, with a drawing each, is in docs/relationships.md. All take:

        activity    a name, or `cdesk.activity(…)`
        columns     what to append; by default activity_id and ts, or a count
        conditions  a list of `cdesk.condition(…)` between the appended and the cohort row
        prefix      what output names begin with; by default <relationship>_<activity>
#}
{% macro first_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('first_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('last_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_ever(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('nth_ever', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro first_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('first_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('last_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro first_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('first_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('last_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('nth_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro nth_after(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('nth_after', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro first_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('first_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('last_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro aggregate_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('aggregate_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro aggregate_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('aggregate_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro aggregate_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('aggregate_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro aggregate_all_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk._as_append('aggregate_all_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{# One append by the relationship's name, for callers that hold it as data. #}
{% macro append(relationship, activity, columns=none, conditions=[], prefix=none, nth=none) -%}
    {{ return(cdesk._as_append(relationship, activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro _as_append(relationship, activity, columns, conditions, prefix, nth=none) -%}
    {% do cdesk._as_check_one_of('append', 'relationship', relationship, cdesk._as_relationships()) %}
    {% set activity = activity if activity is mapping else cdesk.activity(activity) %}
    {% if activity.kind != 'activity' %}
        {% do cdesk._as_raise(relationship, 'activity', activity.kind, 'a name or cdesk.activity(…)') %}
    {% endif %}
    {% if activity.occurrence != 'all' %}
        {% do cdesk._as_raise(
            relationship, 'occurrence', activity.occurrence, "'all': the relationship itself says which occurrence is appended"
        ) %}
    {% endif %}
    {% if relationship.startswith('nth_') %}
        {% do cdesk._as_check_nth(relationship, nth) %}
    {% elif nth is not none %}
        {% do cdesk._as_raise(relationship, 'nth', nth, 'nothing: only nth_ever, nth_before and nth_after take it') %}
    {% endif %}
    {{ return({
        'kind': 'append', 'relationship': relationship, 'activity': activity, 'conditions': conditions, 'prefix': prefix, 'nth': nth,
        'columns': columns if columns is not none else activity.columns,
    }) }}
{%- endmacro %}

{% macro _as_relationships() -%}
    {{ return([
        'first_ever', 'last_ever', 'nth_ever', 'first_before', 'last_before', 'first_after', 'last_after', 'nth_before', 'nth_after',
        'first_in_between', 'last_in_between', 'aggregate_before', 'aggregate_after', 'aggregate_in_between', 'aggregate_all_ever',
    ]) }}
{%- endmacro %}
