{#
    Says which relation is the stream and what its columns are called there. Columns that aren't named keep the specification's names.

    `activity_occurrence` and `activity_repeated_at` may be given where the stream holds them, numbered for each customer (or, without one, anonymous
    customer) and activity by (ts, activity_id); relationships on unfiltered activities then read them and sort less. Further columns of the
    stream become usable by being named, as a string or as {'column': …, 'type': …}.
#}
{% macro stream(relation, columns={}) -%}
    {% set known = {
        'activity_id': {'column': 'activity_id', 'type': 'string'},
        'ts': {'column': 'ts', 'type': 'timestamp'},
        'customer': {'column': 'customer', 'type': 'string'},
        'activity': {'column': 'activity', 'type': 'string'},
        'anonymous_customer_id': {'column': 'anonymous_customer_id', 'type': 'string'},
        'feature_json': {'column': 'feature_json', 'type': 'json'},
        'revenue_impact': {'column': 'revenue_impact', 'type': 'number'},
        'link': {'column': 'link', 'type': 'string'},
        'activity_occurrence': {'column': none, 'type': 'integer'},
        'activity_repeated_at': {'column': none, 'type': 'timestamp'},
    } %}
    {% for name, given in columns.items() %}
        {% do cdesk._as_check_name('stream', 'columns', name) %}
        {% set given = given if given is mapping else {'column': given} %}
        {% set kind = given.get('type', known.get(name, {}).get('type', 'string')) %}
        {% do cdesk._as_check_one_of('stream', 'type of ' ~ name, kind, cdesk._as_types()) %}
        {% do known.update({name: {'column': given.column, 'type': kind}}) %}
    {% endfor %}
    {% for name in ['activity_id', 'ts', 'customer', 'activity'] %}
        {% if not known[name].column %}{% do cdesk._as_raise('stream', 'columns', name ~ ' without a column', 'a column name') %}{% endif %}
    {% endfor %}
    {{ return({'kind': 'stream', 'relation': relation, 'columns': known}) }}
{%- endmacro %}

{# The default: the model that the var `cdesk__activity_schema_stream` names, with the var `cdesk__activity_schema_columns`; without them, this project's `events`. #}
{% macro default_stream() -%}
    {% set name = var('cdesk__activity_schema_stream', none) %}
    {% if name %}
        {{ return(cdesk.stream(ref(name), var('cdesk__activity_schema_columns', {}))) }}
    {% endif %}
    {{ return(cdesk.events_stream()) }}
{%- endmacro %}

{# This project's own stream. `relation` may be `ref('events_live')`, which has the same columns. #}
{% macro events_stream(relation=none) -%}
    {{ return(cdesk.stream(relation or ref('events'), {
        'activity_id': '_activity_id',
        'anonymous_customer_id': '_anonymous_customer_id',
        'feature_json': '_feature_json',
        'activity_occurrence': 'activity_occurrence',
        'activity_repeated_at': 'activity_repeated_at',
        'session_id': '_session_id',
        'query_tag': '_query_tag',
        'source_system': '_source_system',
        'source_version': '_source_version',
        'landed_at': {'column': '_landed_at', 'type': 'timestamp'},
    })) }}
{%- endmacro %}
