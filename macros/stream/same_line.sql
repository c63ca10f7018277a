{# Whether two rows come from one line of landing: the same instant, file and offset. #}
{% macro same_line(one, other) -%}
    {{ one }}.landed_at = {{ other }}.landed_at
            and {{ one }}.source_file = {{ other }}.source_file
            and {{ one }}.source_offset = {{ other }}.source_offset
{%- endmacro %}
