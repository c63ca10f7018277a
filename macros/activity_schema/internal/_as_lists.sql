{#
    All values of a group that aren't null, in the order of time, which `order` names; null where
    there are none.
#}
{% macro _as_list(name, order='_ts, _activity_id') -%}
    {{ return(adapter.dispatch('_as_list', 'cdesk')(name, order)) }}
{%- endmacro %}

{% macro default___as_list(name, order) -%}
    {{ return(
        'list(' ~ name ~ ' order by ' ~ order ~ ') filter (where ' ~ name ~ ' is not null)'
    ) }}
{%- endmacro %}

{# array_agg leaves nulls out: https://docs.snowflake.com/en/sql-reference/functions/array_agg #}
{% macro snowflake___as_list(name, order) -%}
    {{ return(
        'case when count(' ~ name ~ ') > 0 then array_agg(' ~ name
        ~ ') within group (order by ' ~ order ~ ') end'
    ) }}
{%- endmacro %}

{# What orders the rows of a plan by time: the stream's numbers, where it has them, are shorter. #}
{% macro _as_list_order(plan) -%}
    {{ return('_occurrence' if plan.stored else '_ts, _activity_id') }}
{%- endmacro %}

{#
    The values of a group as one text, in the order of time. An aggregate that joins in an order
    (string_agg) takes half as long again as the list, joined; listagg would make an empty text
    where there is nothing.
#}
{% macro _as_joined(name, separator, order) -%}
    {{ return('array_to_string(' ~ cdesk._as_list(name, order) ~ ', ' ~ separator ~ ')') }}
{%- endmacro %}

{# The values of a group that differ, sorted. #}
{% macro _as_list_of_distinct(name) -%}
    {{ return(adapter.dispatch('_as_list_of_distinct', 'cdesk')(name)) }}
{%- endmacro %}

{% macro default___as_list_of_distinct(name) -%}
    {{ return(
        'list(distinct ' ~ name ~ ' order by ' ~ name ~ ') filter (where ' ~ name
        ~ ' is not null)'
    ) }}
{%- endmacro %}

{% macro snowflake___as_list_of_distinct(name) -%}
    {{ return(
        'case when count(' ~ name ~ ') > 0 then array_agg(distinct ' ~ name
        ~ ') within group (order by ' ~ name ~ ') end'
    ) }}
{%- endmacro %}

{# A list as its aggregate wants it: `text` is the items joined, `list_distinct` is sorted. #}
{% macro _as_list_end(value, list, sort=false) -%}
    {% if value.function == 'text' %}
        {{ return(
            'array_to_string(' ~ list ~ ', ' ~ cdesk._as_string_literal(value.separator) ~ ')'
        ) }}
    {% endif %}
    {{ return(cdesk._as_sorted(list) if sort else list) }}
{%- endmacro %}

{% macro _as_sorted(list) -%}
    {{ return(adapter.dispatch('_as_sorted', 'cdesk')(list)) }}
{%- endmacro %}

{% macro default___as_sorted(list) -%}
    {{ return('list_sort(' ~ list ~ ')') }}
{%- endmacro %}

{% macro snowflake___as_sorted(list) -%}
    {{ return('array_sort(' ~ list ~ ')') }}
{%- endmacro %}

{# The first (or, `from_end`, the last) `length` items of a list. #}
{% macro _as_list_part(list, length, from_end) -%}
    {{ return(adapter.dispatch('_as_list_part', 'cdesk')(list, length, from_end)) }}
{%- endmacro %}

{% macro default___as_list_part(list, length, from_end) -%}
    {% set part = ', 1, ' ~ length %}
    {% if from_end %}
        {% set size = 'len(' ~ list ~ ')' %}
        {% set part = ', ' ~ size ~ ' - ' ~ length ~ ' + 1, ' ~ size %}
    {% endif %}
    {{ return('list_slice(' ~ list ~ part ~ ')') }}
{%- endmacro %}

{# From 0, the end left out: https://docs.snowflake.com/en/sql-reference/functions/array_slice #}
{% macro snowflake___as_list_part(list, length, from_end) -%}
    {% set part = ', 0, ' ~ length %}
    {% if from_end %}
        {% set size = 'array_size(' ~ list ~ ')' %}
        {% set part = ', ' ~ size ~ ' - ' ~ length ~ ', ' ~ size %}
    {% endif %}
    {{ return('array_slice(' ~ list ~ part ~ ')') }}
{%- endmacro %}
