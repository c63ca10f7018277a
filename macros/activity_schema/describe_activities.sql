{#
    Prints what a stream holds as YAML, for the registry of activities (`form: vars`, the value of
    `cdesk__activity_schema_activities`) or as a description of the stream's model (`form: models`).
    A feature's type is the narrowest that all its values are of; what the registry says is kept, of
    activities that the stream doesn't hold yet, too.

        dbt run-operation cdesk.describe_activities --args '{model: our_stream}'
#}
{% macro describe_activities(model=none, form='vars') -%}
    {% do cdesk._as_check_arguments('describe_activities', ['model', 'form'], kwargs, varargs) %}
    {% do cdesk._check_one_of('describe_activities', 'form', form, ['vars', 'models']) %}
    {% if execute %}
        {% set given = none if model is none else ref(model) %}
        {% set stream = cdesk._as_stream_of(given) %}
        {% set found = cdesk._as_found_activities(stream) %}
        {% set name = model or stream.relation.identifier %}
        {% do print(
            cdesk._as_registry_text(found) if form == 'vars'
            else cdesk._as_model_text(name, stream, found)
        ) %}
    {% endif %}
{%- endmacro %}

{# What the stream holds, name → {'rows', 'since', 'until', 'features': {key: {'type'}}, …}. #}
{% macro _as_found_activities(stream) -%}
    {% set found = {} %}
    {% for name, rows, since, until in run_query(cdesk._as_activities_sql(stream)) %}
        {% do found.update({name: {
            'rows': rows, 'since': since, 'until': until, 'features': {},
        }}) %}
    {% endfor %}
    {% if stream.columns.feature_json.column %}
        {% for name, key, type in run_query(cdesk._as_found_features_sql(stream)) %}
            {% do found[name].features.update({key: {'type': type}}) %}
        {% endfor %}
    {% endif %}
    {{ return(cdesk._as_told_activities(found)) }}
{%- endmacro %}

{#
    The same with all that the registry says, and with the registered activities that the stream
    doesn't hold yet: what is printed takes the registry's place.
#}
{% macro _as_told_activities(found) -%}
    {% set registry = cdesk._as_registry() %}
    {% set all = {} %}
    {% for name in (registry.keys() | list + found.keys() | list) | unique | sort %}
        {% set item = found.get(name, {'rows': 0, 'features': {}}) %}
        {% set told = registry.get(name, {'features': {}}) %}
        {% set features = {} %}
        {% do features.update(told.features) %}
        {% for key, feature in item.features.items() if key not in told.features %}
            {% do features.update({key: feature}) %}
        {% endfor %}
        {% set entry = dict(item) %}
        {% do entry.update(told) %}
        {% do entry.update({'features': features}) %}
        {% do all.update({name: entry}) %}
    {% endfor %}
    {{ return(all) }}
{%- endmacro %}

{% macro _as_activities_sql(stream) -%}
{%- set columns = stream.columns -%}
select
    {{ columns.activity.column }} as activity,
    count(*) as row_count,
    cast(cast(min({{ columns.ts.column }}) as date) as {{ dbt.type_string() }}) as since,
    cast(cast(max({{ columns.ts.column }}) as date) as {{ dbt.type_string() }}) as until
from {{ stream.relation }}
where {{ columns.activity.column }} is not null
group by 1
order by 1
{%- endmacro %}

{#
    Each activity's keys with the narrowest type of all their values; a key that is always null is
    text.
#}
{% macro _as_found_features_sql(stream) -%}
{%- set text = cdesk.json_text('value') | trim -%}
{%- set texts = cdesk.json_is('value', 'string') | trim -%}
{%- set day = '[0-9]{4}-[0-9]{2}-[0-9]{2}' -%}
{%- set time = '[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?' -%}
{%- set types = {
    'integer': cdesk.json_is('value', 'integer') | trim,
    'number': cdesk.json_is('value', 'number') | trim,
    'boolean': cdesk.json_is('value', 'boolean') | trim,
    'date': texts ~ ' and ' ~ cdesk.matches(text, day) | trim,
    'timestamp': texts ~ ' and ' ~ cdesk.matches(text, day ~ '(' ~ time ~ ')?') | trim,
} -%}
with

found as (
    {{ cdesk._as_feature_rows(stream) }}
),

typed as (
    select
        activity,
        key
        {%- for name, condition in types.items() %},
        min(case when {{ condition }} then 1 else 0 end) as is_{{ name }}
        {%- endfor %},
        max(case when {{ cdesk.json_is('value', 'object') | trim }}
            or {{ cdesk.json_is('value', 'array') | trim }} then 1 else 0 end) as is_json
    from found
    where not {{ cdesk.json_is('value', 'null') | trim }}
    group by activity, key
)

select distinct
    found.activity,
    found.key,
    case
        {%- for name in types %}
        when typed.is_{{ name }} = 1 then '{{ name }}'
        {%- endfor %}
        when typed.is_json = 1 then 'json'
        else 'string'
    end as type
from found
left join typed on found.activity = typed.activity and found.key = typed.key
order by 1, 2
{%- endmacro %}

{# One row an activity's row and key: activity, key, value. #}
{% macro _as_feature_rows(stream) -%}
    {{ return(adapter.dispatch('_as_feature_rows', 'cdesk')(stream)) }}
{%- endmacro %}

{% macro default___as_feature_rows(stream) -%}
select
    activity,
    key,
    json_extract(feature_json, '/' || replace(replace(key, '~', '~0'), '/', '~1')) as value
from (
    select
        {{ stream.columns.activity.column }} as activity,
        {{ stream.columns.feature_json.column }} as feature_json,
        unnest(json_keys({{ stream.columns.feature_json.column }})) as key
    from {{ stream.relation }}
) as flattened
where activity is not null
{%- endmacro %}

{# https://docs.snowflake.com/en/sql-reference/functions/flatten #}
{% macro snowflake___as_feature_rows(stream) -%}
select
    rows_given.{{ stream.columns.activity.column }} as activity,
    flattened.key,
    flattened.value
from
    {{ stream.relation }} as rows_given,
    lateral flatten(input => rows_given.{{ stream.columns.feature_json.column }}) as flattened
where rows_given.{{ stream.columns.activity.column }} is not null
{%- endmacro %}

{# A text as YAML has it; JSON's strings are YAML's. #}
{% macro _as_yaml(text) -%}
    {{ return(text if modules.re.match('[a-z][a-z0-9_.]*\\Z', text)
              and text not in ['null', 'true', 'false', 'yes', 'no', 'on', 'off', 'y', 'n']
              else tojson(text)) }}
{%- endmacro %}

{% macro _as_registry_text(found) -%}
    {% set lines = ['vars:', '  cdesk__activity_schema_activities:'] %}
    {% for name, item in found.items() %}
        {% set span = ', ' ~ item.since ~ ' to ' ~ item.until if item.since else '' %}
        {% do lines.append('    ' ~ cdesk._as_yaml(name) ~ ': # rows: ' ~ item.rows ~ span) %}
        {% do lines.append('      description: ' ~ tojson(item.description or '')) %}
        {% for key in ['model', 'where', 'columns'] if item.get(key) %}
            {% do lines.append('      ' ~ key ~ ': ' ~ tojson(item[key])) %}
        {% endfor %}
        {% do lines.append('      features:' ~ ('' if item.features else ' {}')) %}
        {% for key, feature in item.features.items() %}
            {% set named = ', column: ' ~ tojson(feature.column) if feature.column else '' %}
            {% set told = ', description: ' ~ tojson(feature.description or '') %}
            {% do lines.append(
                '        ' ~ cdesk._as_yaml(key) ~ ': {type: ' ~ feature.type ~ named ~ told ~ '}'
            ) %}
        {% endfor %}
    {% endfor %}
    {{ return(lines | join('\n')) }}
{%- endmacro %}

{% macro _as_model_text(name, stream, found) -%}
    {% set lines = ['version: 2', 'models:', '  - name: ' ~ name, '    description: |'] %}
    {% do lines.append('      One row per activity.') %}
    {% do lines.append('') %}
    {% do lines.append('      | activity | what it is | features |') %}
    {% do lines.append('      |---|---|---|') %}
    {% for activity, item in found.items() %}
        {% set features = [] %}
        {% for key, feature in item.features.items() %}
            {% set about = ': ' ~ feature.description if feature.description else '' %}
            {% do features.append('`' ~ key ~ '` (' ~ feature.type ~ ')' ~ about) %}
        {% endfor %}
        {% do lines.append(
            '      | `' ~ activity ~ '` | ' ~ (item.description or '') ~ ' | '
            ~ features | join('; ') ~ ' |'
        ) %}
    {% endfor %}
    {% do lines.append('    columns:') %}
    {% set values = [] %}
    {% for activity in found %}{% do values.append(cdesk._as_yaml(activity)) %}{% endfor %}
    {% set tests = {
        'activity_id': 'not_null', 'ts': 'not_null',
        'activity': 'not_null, {accepted_values: {arguments: {values: ['
            ~ values | join(', ') ~ ']}}}',
    } %}
    {% for column, given in stream.columns.items() if given.column %}
        {% do lines.append('      - name: ' ~ given.column) %}
        {% if column in tests %}
            {% do lines.append('        data_tests: [' ~ tests[column] ~ ']') %}
        {% endif %}
    {% endfor %}
    {{ return(lines | join('\n')) }}
{%- endmacro %}
