{#
    The condition that a timestamp lies within the person's days `since` and `until`, both bound,
    both included, either of them optional.
#}
{% macro within_dates(timestamp) -%}
    {%- set type = dbt.type_timestamp() -%}
    {%- set since, until = cdesk.bind_as('since', 'date'), cdesk.bind_as('until', 'date') -%}
    {%- set first = cdesk.from_local('cast(' ~ since ~ ' as ' ~ type ~ ')') -%}
    {%- set next_day = dbt.dateadd('day', 1, 'cast(' ~ until ~ ' as ' ~ type ~ ')') -%}
    ({{ since }} is null or {{ timestamp }} >= {{ first }})
        and ({{ until }} is null or {{ timestamp }} < {{ cdesk.from_local(next_day) }})
{%- endmacro %}
