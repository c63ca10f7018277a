{% macro _as_types() -%}
    {{ return(['string', 'integer', 'number', 'boolean', 'timestamp', 'date', 'json']) }}
{%- endmacro %}

{#
    A requested value, checked and completed: {'sql', 'type', 'name', 'as'}, and for an aggregate
    what `_as_aggregate_value` adds. `sql` reads a row of the stream. `numbering` holds the
    expressions for activity_occurrence and activity_repeated_at, which depend on the filters.
#}
{% macro _as_value(where, given, stream, numbering=none) -%}
    {% set value = {'kind': 'column', 'column': given, 'as': none} if given is string else given %}
    {% if value is number and value is not boolean %}
        {% set kind = 'integer' if value is integer else 'number' %}
        {{ return({'sql': value | string, 'type': kind, 'name': 'number', 'as': none}) }}
    {% endif %}
    {% set kinds = ['column', 'feature', 'calc', 'output', 'aggregate', 'ratio'] %}
    {% if value is not mapping or value.kind not in kinds %}
        {% do cdesk._as_raise(
            where, 'columns', value,
            'a column name, cdesk.column(…), cdesk.feature(…), cdesk.calc(…) or cdesk.agg(…)',
        ) %}
    {% endif %}
    {% if value['as'] is not none %}
        {% do cdesk._as_check_name(where, 'as', value['as']) %}
    {% endif %}
    {% if value.kind in ['aggregate', 'ratio'] %}
        {{ return(cdesk._as_aggregate_value(where, value, stream, numbering)) }}
    {% elif value.kind == 'feature' %}
        {{ return(cdesk._as_feature_value(where, value, stream)) }}
    {% elif value.kind == 'calc' %}
        {{ return(cdesk._as_calc_value(where, value, stream, numbering)) }}
    {% endif %}
    {% set column = value.name if value.kind == 'output' else value.column %}
    {% do cdesk._as_check_one_of(where, 'column', column, stream.columns.keys() | list) %}
    {% set found = stream.columns[column] %}
    {% if column in ['activity_occurrence', 'activity_repeated_at'] and not stream.outputs %}
        {% if numbering is none %}
            {% do cdesk._as_raise(
                where, 'column', column,
                "any other column: rows are numbered after filtering; see 'occurrence' and 'where'",
            ) %}
        {% endif %}
        {% set sql = numbering[column] %}
    {% elif found.column %}
        {% set sql = found.column %}
    {% else %}
        {% do cdesk._as_raise(
            where, 'column', column, 'any other column: this stream has none of that name'
        ) %}
    {% endif %}
    {{ return({'sql': sql, 'type': found.type, 'name': column, 'as': value['as']}) }}
{%- endmacro %}

{% macro _as_feature_value(where, value, stream) -%}
    {% set given = value.type %}
    {% set type = cdesk._as_registered_type(where, value.key) if given is none else given %}
    {% do cdesk._as_check_one_of(where, 'type of feature ' ~ value.key, type, cdesk._as_types()) %}
    {% if value.key is not string or not value.key %}
        {% do cdesk._as_raise(where, 'feature', value.key, 'a key of feature_json') %}
    {% endif %}
    {% set column = stream.columns.get('feature_json', {}).get('column') %}
    {% if not column %}
        {% do cdesk._as_raise(
            where, 'feature', value.key, 'nothing: there is no feature_json here'
        ) %}
    {% endif %}
    {{ return({
        'sql': cdesk._as_feature_sql(column, value.key, type), 'type': type,
        'name': cdesk._as_slug(value.key), 'as': value['as'],
    }) }}
{%- endmacro %}

{% macro _as_calc_value(where, value, stream, numbering) -%}
    {% do cdesk._as_check_one_of(where, 'calc', value.operator, ['+', '-', '*', '/']) %}
    {% set left = cdesk._as_value(where, value.left, stream, numbering) %}
    {% set result = {'name': 'calc', 'as': value['as']} %}
    {% if value.right is mapping and value.right.kind == 'interval' %}
        {% if left.type != 'timestamp' or value.operator not in ['+', '-'] %}
            {% do cdesk._as_raise(
                where, 'calc', left.name ~ ' ' ~ value.operator ~ ' an interval',
                'a timestamp + or - an interval',
            ) %}
        {% endif %}
        {% set amount = value.right.amount if value.operator == '+' else -value.right.amount %}
        {% set sql = cdesk._as_moved(left.sql, amount, value.right.unit) %}
        {{ return(dict(result, sql=sql, type='timestamp')) }}
    {% endif %}
    {% set right = cdesk._as_value(where, value.right, stream, numbering) %}
    {% if left.type == 'timestamp' and right.type == 'timestamp' and value.operator == '-' %}
        {{ return(dict(result, sql=cdesk._as_seconds(right.sql, left.sql), type='number')) }}
    {% endif %}
    {% for side in [left, right] %}
        {% if side.type not in ['integer', 'number'] or side.function is defined %}
            {% do cdesk._as_raise(
                where, 'calc', side.name ~ ' of type ' ~ side.type,
                'numbers, a timestamp and cdesk.interval(…), or the difference of two timestamps',
            ) %}
        {% endif %}
    {% endfor %}
    {% if value.operator == '/' %}
        {% set sql = '(cast(' ~ left.sql ~ ' as double) / nullif(' ~ right.sql ~ ', 0))' %}
        {{ return(dict(result, sql=sql, type='number')) }}
    {% endif %}
    {% set whole = left.type == 'integer' and right.type == 'integer' %}
    {{ return(dict(
        result, sql='(' ~ left.sql ~ ' ' ~ value.operator ~ ' ' ~ right.sql ~ ')',
        type='integer' if whole else 'number',
    )) }}
{%- endmacro %}

{% macro _as_moved(timestamp, amount, unit) -%}
    {{ return(dbt.dateadd(unit, amount, timestamp) | trim) }}
{%- endmacro %}

{# `cdesk.user_asked` → user_asked; `Started Session` → started_session; '*' → activity. #}
{% macro _as_slug(name) -%}
    {% set text = modules.re.sub('[^a-z0-9]+', '_', (name | lower).split('.')[-1]).strip('_') %}
    {{ return(text if modules.re.match('[a-z]', text) else 'x_' ~ text) }}
{%- endmacro %}

{% macro _as_activity_slug(name) -%}
    {% if name is mapping or name == '*' %}{{ return('activity') }}{% endif %}
    {% if name is string %}{{ return(cdesk._as_slug(name)) }}{% endif %}
    {% set slugs = [] %}
    {% for item in name %}{% do slugs.append(cdesk._as_slug(item)) %}{% endfor %}
    {{ return(slugs | join('_or_')) }}
{%- endmacro %}
