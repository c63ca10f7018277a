{#
    The instant that lies as many hours, days, … before now as the bound parameter says; `part` is a
    date part of dbt's `dateadd`.
#}
{% macro time_back(part, name) -%}
    {%- set parts = ['minute', 'hour', 'day', 'week', 'month'] -%}
    {%- do cdesk._check_one_of('time_back', 'part', part, parts) -%}
    {{ dbt.dateadd(part, "-1 * " ~ cdesk.bind_as(name, 'integer'), cdesk.utc_now()) }}
{%- endmacro %}
