{# A clock time as text, to the day or with `hours` to the hour: `2026-01-31 14:00`. #}
{% macro clock_text(timestamp, hours=false) -%}
    left(cast({{ timestamp }} as varchar), {{ 13 if hours else 10 }}){{ " || ':00'" if hours }}
{%- endmacro %}
