{#
    One registered activity's rows with a column for each of its features, of the registered type.

        -- purchases.sql
        {{ cdesk.activity_rows('bought') }}
#}
{% macro activity_rows(name, stream=none) -%}
{%- do cdesk._as_check_arguments('activity_rows', ['name', 'stream'], kwargs, varargs, [name]) -%}
{%- set registry = cdesk._as_registry() -%}
{%- do cdesk._as_check_one_of('activity_rows', 'name', name, registry.keys() | list) -%}
{%- set stream = cdesk._as_stream_of(stream) -%}
{%- set taken = [] -%}
{%- for column, found in stream.columns.items() if found.column and column != 'feature_json' -%}
    {%- do taken.append({'sql': found.column, 'name': column}) -%}
{%- endfor -%}
{%- for key, feature in registry[name].features.items() -%}
    {%- do taken.append(cdesk._as_value(
        'activity_rows', cdesk.feature(key, feature.type), stream
    )) -%}
{%- endfor -%}
{%- do cdesk._as_check_unique(taken | map(attribute='name') | list) -%}
select
    {%- for value in taken %}
    {{ value.sql }} as {{ value.name }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ stream.relation }}
where {{ stream.columns.activity.column }} = {{ cdesk._as_string_literal(name) }}
{%- endmacro %}
