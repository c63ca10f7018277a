{#
    When a record counts from, for everything that asks for the latest: the earlier of what its
    writer says and when it landed. A stamp of the year 9999 would otherwise hide for good whatever
    comes after it.
#}
{% macro recorded_at(table=none) -%}
    {%- set prefix = table ~ '.' if table else '' -%}
    least({{ prefix }}ts, {{ prefix }}_landed_at)
{%- endmacro %}
