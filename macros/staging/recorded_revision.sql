{#
    The columns of an activity as a revision of it has them, unnumbered; `_activity_id` is the
    activity's, `_revision` and `_revision_id` are the revision's own. Reads `fields`, `id`,
    `landed_at`.
#}
{% macro recorded_revision() -%}
    {%- set columns = [] -%}
    {%- for column, source in cdesk.event_columns().items() if source.from == 'record' -%}
        {%- set value = cdesk.record_field('revision', source.name) -%}
        {%- do columns.append((value | trim) ~ ' as ' ~ column) -%}
    {%- endfor -%}
    {%- set replaces = cdesk.record_field('revision', 'replaces') | trim -%}
    {%- do columns.append(replaces ~ ' as _activity_id') -%}
    {%- set revision = cdesk.record_field('revision', 'revision') | trim -%}
    {%- do columns.append(revision ~ ' as _revision') -%}
    {%- do columns.append('id as _revision_id') -%}
    {{ columns | join(',\n') }}
{%- endmacro %}
