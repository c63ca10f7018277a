{#
    The instant that lies as many hours, days, … before now as the bound parameter says, or `times`
    as many; `part` is a date part of dbt's `dateadd`.
#}
{% macro time_back(part, name, times=1) -%}
    {%- set parts = ['minute', 'hour', 'day', 'week', 'month'] -%}
    {%- do cdesk._check_one_of('time_back', 'part', part, parts) -%}
    {{ dbt.dateadd(part, "-" ~ times ~ " * " ~ cdesk.bind_as(name, 'integer'), cdesk.utc_now()) }}
{%- endmacro %}
