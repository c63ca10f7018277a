{#
    The columns of `events` for rows that `renumber` numbered. What a renumbered row is known by
    comes from `numbered`, which has it for stored rows too; the rest from `rows`. `numbered` is its
    CTE.
#}
{% macro numbered_event(rows, numbered='numbered') -%}
    {%- set known = ['activity', 'customer', 'ts', 'activity_repeated_at', '_activity_id'] -%}
    {%- for column in cdesk.event_columns() %}
    {% if column == 'activity_occurrence' -%}
        cast({{ numbered }}.activity_occurrence as bigint) as activity_occurrence
    {%- else -%}
        {{ numbered if column in known else rows }}.{{ column }}
    {%- endif -%}
    {{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
