{#
    The stream of all registered activities that name a model, as one query with the specification's
    columns, each of its declared type; features stand in feature_json as theirs.

        -- our_stream.sql
        {{ cdesk.activities_stream() }}
#}
{% macro activities_stream() -%}
{%- do cdesk._as_check_arguments('activities_stream', [], kwargs, varargs) -%}
{%- set named = [] -%}
{%- for name, item in cdesk._as_registry().items() if item.model -%}
    {%- do named.append(dict(item, name=name)) -%}
{%- endfor -%}
{%- if not named -%}
    {%- do cdesk._as_raise(
        'activities_stream', 'cdesk__activity_schema_activities', 'no activity with a model',
        'activities with model, and columns where these are called otherwise',
    ) -%}
{%- endif -%}
{%- for item in named %}
{{ cdesk._as_registered_rows(item) }}
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
{%- endmacro %}

{# One registered activity's rows. #}
{% macro _as_registered_rows(item) -%}
{%- set where = 'activity ' ~ item.name -%}
{%- set columns = item.get('columns') or {} -%}
{%- set types = {
    'activity_id': dbt.type_string(), 'ts': dbt.type_timestamp(), 'customer': dbt.type_string(),
    'anonymous_customer_id': dbt.type_string(), 'revenue_impact': 'double',
    'link': dbt.type_string(),
} -%}
{%- for name in columns -%}
    {%- do cdesk._as_check_one_of(where, 'columns', name, types.keys() | list) -%}
{%- endfor -%}
{%- set required = ['activity_id', 'ts', 'customer'] -%}
select
    {%- for name, type in types.items() %}
    {%- set column = columns.get(name, name if name in required else none) %}
    cast({{ column or 'null' }} as {{ type }}) as {{ name }},
    {%- if name == 'customer' %}
    {{ cdesk._as_string_literal(item.name) }} as activity,
    {%- endif %}
    {%- endfor %}
    {{ cdesk._as_feature_object(item.features) }} as feature_json
from {{ ref(item.model) }}
{%- if item.where %}
where {{ item.where }}
{%- endif %}
{%- endmacro %}

{# The features of a row as one JSON object; null where the activity has none. #}
{% macro _as_feature_object(features) -%}
    {{ return(adapter.dispatch('_as_feature_object', 'cdesk')(features)) }}
{%- endmacro %}

{% macro default___as_feature_object(features) -%}
    {% set pairs = cdesk._as_feature_pairs(features, 'json') %}
    {{ return('json_object(' ~ pairs ~ ')' if pairs else 'cast(null as json)') }}
{%- endmacro %}

{% macro snowflake___as_feature_object(features) -%}
    {% set pairs = cdesk._as_feature_pairs(features, 'variant') %}
    {{ return(
        'cast(object_construct_keep_null(' ~ pairs ~ ') as variant)' if pairs
        else 'cast(null as variant)'
    ) }}
{%- endmacro %}

{# Key, value, key, value …; instants and days as ISO text. #}
{% macro _as_feature_pairs(features, json) -%}
    {% set types = {
        'string': dbt.type_string(), 'integer': dbt.type_bigint(), 'number': 'double',
        'boolean': 'boolean', 'timestamp': dbt.type_timestamp(), 'date': 'date', 'json': json,
    } %}
    {% set pairs = [] %}
    {% for key, feature in features.items() %}
        {% set value = 'cast(' ~ feature.get('column', key) ~ ' as ' ~ types[feature.type] ~ ')' %}
        {% if feature.type in ['timestamp', 'date'] %}
            {% set value = 'cast(' ~ value ~ ' as ' ~ dbt.type_string() ~ ')' %}
        {% endif %}
        {% do pairs.append(cdesk._as_string_literal(key) ~ ', ' ~ value) %}
    {% endfor %}
    {{ return(pairs | join(', ')) }}
{%- endmacro %}
