{#
    The relationships, one macro each, in one file because each is one line over `_as_append`: what
    is picked (`first`, `last`, `nth`, `aggregate`) and of which rows. The first fifteen names are
    the ActivitySchema 2.0 specification's. Their meaning, with a drawing each, is in
    docs/relationships.md. All take:

        activity    a name, a list of names, '*', or `cdesk.activity(…)`
        columns     what to append; by default activity_id and ts, or a count
        conditions  a list of `cdesk.condition(…)`, `cdesk.within(…)`, `any_of` and `all_of`
        prefix      what output names begin with; by default <relationship>_<activity>
#}
{% macro first_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_ever(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_ever', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro aggregate_all_ever(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_all_ever', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro first_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro aggregate_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro first_at_or_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_at_or_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_at_or_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_at_or_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_at_or_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_at_or_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro aggregate_at_or_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_at_or_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro first_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_after(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_after', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro aggregate_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro first_at_or_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_at_or_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_at_or_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_at_or_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_at_or_after(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_at_or_after', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro aggregate_at_or_after(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_at_or_after', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro first_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_in_between(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_in_between', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro aggregate_in_between(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_in_between', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro first_between_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('first_between_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro last_between_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('last_between_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}

{% macro nth_between_before(activity, nth, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('nth_between_before', activity, columns, conditions, prefix, nth)) }}
{%- endmacro %}

{% macro aggregate_between_before(activity, columns=none, conditions=[], prefix=none) -%}
    {{ return(cdesk.append('aggregate_between_before', activity, columns, conditions, prefix)) }}
{%- endmacro %}
