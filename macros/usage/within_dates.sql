{#
    The condition that a timestamp lies within the person's days `since` and `until`, both bound,
    both included, either of them optional.
#}
{% macro within_dates(timestamp) -%}
    {%- set since, until = cdesk.bind_as('since', 'date'), cdesk.bind_as('until', 'date') -%}
    {%- set local_day = 'cast(' ~ cdesk.to_local(timestamp) ~ ' as date)' -%}
    ({{ since }} is null or {{ local_day }} >= {{ since }})
        and ({{ until }} is null or {{ local_day }} <= {{ until }})
{%- endmacro %}
