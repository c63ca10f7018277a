{% macro _as_types() -%}
    {{ return(['string', 'integer', 'number', 'boolean', 'timestamp', 'date', 'json']) }}
{%- endmacro %}

{% macro _as_aggregates() -%}
    {{ return(['count', 'count_distinct', 'sum', 'avg', 'min', 'max', 'list']) }}
{%- endmacro %}

{#
    A requested value, checked and completed: {'sql', 'type', 'name', 'as'}; for an aggregate also {'function'}. `sql` reads a row of the stream.
    `numbering` holds the expressions for activity_occurrence and activity_repeated_at, which depend on the filters.
#}
{% macro _as_value(where, given, stream, numbering=none) -%}
    {% set value = {'kind': 'column', 'column': given, 'as': none} if given is string else given %}
    {% if value is not mapping or value.kind not in ['column', 'feature', 'aggregate'] %}
        {% do cdesk._as_raise(where, 'columns', value, 'a column name, cdesk.column(…), cdesk.feature(…) or cdesk.agg(…)') %}
    {% endif %}
    {% if value['as'] is not none %}{% do cdesk._as_check_name(where, 'as', value['as']) %}{% endif %}
    {% if value.kind == 'aggregate' %}
        {{ return(cdesk._as_aggregate_value(where, value, stream, numbering)) }}
    {% endif %}
    {% if value.kind == 'feature' %}
        {% do cdesk._as_check_one_of(where, 'type of feature ' ~ value.key, value.type, cdesk._as_types()) %}
        {% if value.key is not string or not value.key %}{% do cdesk._as_raise(where, 'feature', value.key, 'a key of feature_json') %}{% endif %}
        {% if not stream.columns.feature_json.column %}
            {% do cdesk._as_raise(where, 'feature', value.key, 'nothing: this stream has no feature_json') %}
        {% endif %}
        {{ return({
            'sql': cdesk._as_feature_sql(stream.columns.feature_json.column, value.key, value.type), 'type': value.type,
            'name': cdesk._as_slug(value.key), 'as': value['as'],
        }) }}
    {% endif %}
    {% do cdesk._as_check_one_of(where, 'column', value.column, stream.columns.keys() | list) %}
    {% set found = stream.columns[value.column] %}
    {% if value.column in ['activity_occurrence', 'activity_repeated_at'] %}
        {% if numbering is none %}
            {% do cdesk._as_raise(where, 'column', value.column, "any other column: rows are numbered after filtering; see 'occurrence'") %}
        {% endif %}
        {% set sql = numbering[value.column] %}
    {% elif found.column %}
        {% set sql = found.column %}
    {% else %}
        {% do cdesk._as_raise(where, 'column', value.column, 'any other column: this stream has none of that name') %}
    {% endif %}
    {{ return({'sql': sql, 'type': found.type, 'name': value.column, 'as': value['as']}) }}
{%- endmacro %}

{% macro _as_aggregate_value(where, value, stream, numbering) -%}
    {% do cdesk._as_check_one_of(where, 'aggregate', value.function, cdesk._as_aggregates()) %}
    {% if value.of is none %}
        {% if value.function != 'count' %}{% do cdesk._as_raise(where, value.function, 'no column', 'a column or feature to aggregate') %}{% endif %}
        {{ return({'sql': none, 'type': none, 'function': 'count', 'name': 'count', 'as': value['as']}) }}
    {% endif %}
    {% set of = cdesk._as_value(where, value.of, stream, numbering) %}
    {% if of.function is defined %}{% do cdesk._as_raise(where, value.function, 'an aggregate', 'a column or feature') %}{% endif %}
    {% if value.function in ['sum', 'avg'] and of.type not in ['integer', 'number'] %}
        {% do cdesk._as_raise(where, value.function, of.name ~ ' of type ' ~ of.type, 'a column or feature of type integer or number') %}
    {% endif %}
    {% if value.function in ['min', 'max', 'count_distinct'] and of.type == 'json' %}
        {% do cdesk._as_raise(where, value.function, of.name ~ ' of type json', 'a column or feature of another type') %}
    {% endif %}
    {{ return({
        'sql': of.sql, 'type': of.type, 'function': value.function, 'name': value.function ~ '_' ~ of.name, 'as': value['as'],
    }) }}
{%- endmacro %}

{# `cdesk.user_asked` → user_asked; `Started Session` → started_session. #}
{% macro _as_slug(name) -%}
    {% set text = modules.re.sub('[^a-z0-9]+', '_', (name | lower).split('.')[-1]).strip('_') %}
    {{ return(text if modules.re.match('[a-z]', text) else 'x_' ~ text) }}
{%- endmacro %}

{% macro _as_feature_sql(column, key, type) -%}
    {% if type == 'json' %}{{ return(cdesk._as_feature_json(column, key)) }}{% endif %}
    {% set text = cdesk._as_feature_text(column, key) %}
    {% if type == 'string' %}{{ return(text) }}{% endif %}
    {% if type == 'integer' %}{{ return(cdesk.try_bigint(text) | trim) }}{% endif %}
    {% if type == 'number' %}{{ return(cdesk.try_double(text) | trim) }}{% endif %}
    {{ return('try_cast(' ~ text ~ ' as ' ~ {'boolean': 'boolean', 'timestamp': dbt.type_timestamp(), 'date': 'date'}[type] ~ ')') }}
{%- endmacro %}

{# A key's value as text; null for JSON null and where the key is missing. #}
{% macro _as_feature_text(column, key) -%}
    {{ return(adapter.dispatch('_as_feature_text', 'cdesk')(column, key)) }}
{%- endmacro %}

{# A JSON pointer, because it takes any key: https://duckdb.org/docs/stable/data/json/json_functions #}
{% macro default___as_feature_text(column, key) -%}
    {{ return('json_extract_string(' ~ column ~ ', ' ~ cdesk._as_string_literal('/' ~ key.replace('~', '~0').replace('/', '~1')) ~ ')') }}
{%- endmacro %}

{% macro snowflake___as_feature_text(column, key) -%}
    {{ return('get(' ~ column ~ ', ' ~ cdesk._as_string_literal(key) ~ ')::varchar') }}
{%- endmacro %}

{% macro _as_feature_json(column, key) -%}
    {{ return(adapter.dispatch('_as_feature_json', 'cdesk')(column, key)) }}
{%- endmacro %}

{% macro default___as_feature_json(column, key) -%}
    {{ return('json_extract(' ~ column ~ ', ' ~ cdesk._as_string_literal('/' ~ key.replace('~', '~0').replace('/', '~1')) ~ ')') }}
{%- endmacro %}

{% macro snowflake___as_feature_json(column, key) -%}
    {{ return('get(' ~ column ~ ', ' ~ cdesk._as_string_literal(key) ~ ')') }}
{%- endmacro %}
