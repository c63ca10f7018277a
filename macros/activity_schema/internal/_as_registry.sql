{#
    The activities that exist, name → definition, as the var `cdesk__activity_schema_activities` has
    them: a list of names, or what each of them is; empty where nobody says. A feature given by its
    type alone becomes {'type': …}.
#}
{% macro _as_registry() -%}
    {% set where = 'cdesk__activity_schema_activities' %}
    {% set given = cdesk._as_var('cdesk__activity_schema_activities', []) %}
    {% set registry = {} %}
    {% for name in given %}
        {% set item = (given[name] if given is mapping else {}) or {} %}
        {% if item is not mapping %}
            {% do cdesk._as_raise(where, name, item, 'a mapping of ' ~ cdesk._as_registered()) %}
        {% endif %}
        {% for key in item if key not in cdesk._as_registered() %}
            {% do cdesk._as_raise(where, name, key, cdesk._as_registered() | join(', ')) %}
        {% endfor %}
        {% set features = {} %}
        {% for key, feature in (item.get('features') or {}).items() %}
            {% set feature = feature if feature is mapping else {'type': feature} %}
            {% set type = feature.get('type', 'string') %}
            {% do cdesk._as_check_one_of(
                where, 'type of ' ~ name ~ '.' ~ key, type, cdesk._as_types()
            ) %}
            {% do features.update({key: dict(feature, type=type)}) %}
        {% endfor %}
        {% set told = item.get('features') is not none and 'features' in item %}
        {% do registry.update({name: dict(item, features=features, told=told)}) %}
    {% endfor %}
    {{ return(registry) }}
{%- endmacro %}

{# What may be said of an activity. #}
{% macro _as_registered() -%}
    {{ return(['description', 'model', 'where', 'columns', 'features']) }}
{%- endmacro %}

{#
    The type of a feature that is named without one: the registered one, else text. A key that no
    registered activity has is refused where all of them say which they have.
#}
{% macro _as_registered_type(where, key) -%}
    {% set registry = cdesk._as_registry() %}
    {% set types = [] %}
    {% set known = [] %}
    {% for name, item in registry.items() %}
        {% for feature, told in item.features.items() %}
            {% do known.append(feature) %}
            {% if feature == key and told.type not in types %}
                {% do types.append(told.type) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {% if types | length > 1 %}
        {% do cdesk._as_raise(
            where, 'feature', key ~ ' without a type, as activities differ in it',
            types | join(', '),
        ) %}
    {% endif %}
    {% set all_tell = registry and registry.values() | rejectattr('told') | list | length == 0 %}
    {% if not types and all_tell %}
        {% do cdesk._as_check_one_of(where, 'feature', key, known | unique | list) %}
    {% endif %}
    {{ return(types[0] if types else 'string') }}
{%- endmacro %}
