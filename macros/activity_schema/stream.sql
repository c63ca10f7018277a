{#
    Says which relation is the stream and what its columns are called there. Columns that aren't
    named keep the specification's names; a stream may lack anonymous_customer_id, feature_json,
    revenue_impact and link.

    `activity_occurrence` and `activity_repeated_at` may be given where the stream holds them,
    numbered for each customer (or, without one, anonymous customer) and activity by (ts,
    activity_id); relationships on unfiltered activities then read them and sort less. Further
    columns of the stream become usable by being named, as a string or as
    {'column': …, 'type': …}. `typed` says that both customer columns are text.
#}
{% macro stream(relation, columns={}, typed=false) -%}
    {% do cdesk._as_check_arguments(
        'stream', ['relation', 'columns', 'typed'],
        kwargs, varargs, [relation],
    ) %}
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
    {% if columns is not mapping %}
        {% do cdesk._as_raise(
            'stream', 'columns', columns, "the specification's names to the stream's"
        ) %}
    {% endif %}
    {% for name, given in columns.items() %}
        {% do cdesk._as_check_name('stream', 'columns', name) %}
        {% set given = given if given is mapping else {'column': given} %}
        {% set kind = given.get('type', known.get(name, {}).get('type', 'string')) %}
        {% do cdesk._as_check_one_of('stream', 'type of ' ~ name, kind, cdesk._as_types()) %}
        {% do known.update({name: {'column': given.get('column', name), 'type': kind}}) %}
    {% endfor %}
    {% for name in ['activity_id', 'ts', 'customer', 'activity'] %}
        {% if not known[name].column %}
            {% do cdesk._as_raise(
                'stream', 'columns', name ~ ' without a column', 'a column name'
            ) %}
        {% endif %}
    {% endfor %}
    {% set anonymous = 'anonymous_customer_id' %}
    {% if anonymous not in columns and cdesk._as_lacks(relation, anonymous) %}
        {% do known.update({anonymous: {'column': none, 'type': 'string'}}) %}
    {% endif %}
    {{ return({'kind': 'stream', 'relation': relation, 'columns': known, 'typed': typed}) }}
{%- endmacro %}

{#
    Whether a relation that stands in the warehouse has no column of that name. In a unit test rows
    stand in for the relation, with the columns that it has.
#}
{% macro _as_lacks(relation, name) -%}
    {% if not execute or relation is string or not relation.identifier %}
        {{ return(false) }}
    {% endif %}
    {% set identifier = relation.identifier.removeprefix('__dbt__cte__') %}
    {% set stands_in = identifier != relation.identifier %}
    {% set found = adapter.get_relation(
        target.database if stands_in else relation.database,
        target.schema if stands_in else relation.schema,
        identifier,
    ) %}
    {% if found is none %}{{ return(false) }}{% endif %}
    {% set names = adapter.get_columns_in_relation(found) | map(attribute='name') | list %}
    {{ return(names | length > 0 and name not in names | map('lower')) }}
{%- endmacro %}
