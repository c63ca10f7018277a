{#
    The columns of an activity as its record has them, unnumbered. Reads `fields`, `id`,
    `landed_at`.
#}
{% macro recorded_event() -%}
    {%- set columns = [] -%}
    {%- for column, source in cdesk.event_columns().items() if source.from != 'numbering' -%}
        {%- set value = (
            source.name if source.from == 'landing' else cdesk.record_field('event', source.name)
        ) -%}
        {%- do columns.append((value | trim) ~ ' as ' ~ column) -%}
    {%- endfor -%}
    {{ columns | join(',\n') }}
{%- endmacro %}
