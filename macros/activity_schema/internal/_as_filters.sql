{# The operators that compare two values, as words or signs, and the SQL of each. #}
{% macro _as_comparisons() -%}
    {{ return({
        'equals': '=', 'not equals': '!=', 'less than': '<', 'at most': '<=', 'greater than': '>',
        'at least': '>=', '=': '=', '!=': '!=', '<': '<', '<=': '<=', '>': '>', '>=': '>=',
    }) }}
{%- endmacro %}

{# The SQL conditions of an activity's filters, each to be joined by `and`. #}
{% macro _as_filters_sql(where, filters, stream, numbering=none, argument='filters') -%}
    {% set allowed = 'a list of cdesk.filter(…), cdesk.any_of(…) and cdesk.all_of(…)' %}
    {% set conditions = [] %}
    {% for given in cdesk._as_list_of(where, argument, filters, allowed) %}
        {% if given is not mapping or given.kind not in ['filter', 'group'] %}
            {% do cdesk._as_raise(where, argument, given, allowed) %}
        {% endif %}
        {% do conditions.append(cdesk._as_filter_sql(where, given, stream, numbering)) %}
    {% endfor %}
    {{ return(conditions) }}
{%- endmacro %}

{# One filter or group of filters. #}
{% macro _as_filter_sql(where, given, stream, numbering=none) -%}
    {% if given is mapping and given.kind == 'group' %}
        {% set parts = cdesk._as_filters_sql(where, given['items'], stream, numbering, 'group') %}
        {% if not parts %}
            {% do cdesk._as_raise(where, 'group', 'no filter', 'at least one filter') %}
        {% endif %}
        {{ return('(' ~ parts | join(' ' ~ given.word ~ ' ') ~ ')') }}
    {% endif %}
    {% set lists = ['in', 'not in', 'between', 'not between'] %}
    {% set words = lists + ['like', 'not like', 'is null', 'is not null'] %}
    {% set comparisons = cdesk._as_comparisons() %}
    {% set operator = given.operator %}
    {% do cdesk._as_check_one_of(
        where, 'filter operator', operator, comparisons.keys() | list + words
    ) %}
    {% set value = cdesk._as_value(where, given.value, stream, numbering) %}
    {% set about = operator ~ ' on ' ~ value.name %}
    {% if value.function is defined %}
        {% do cdesk._as_raise(where, 'filter', value.name, 'a column or feature') %}
    {% elif operator.startswith('is ') %}
        {% if given.operand is not none %}
            {% do cdesk._as_raise(where, about, given.operand, 'nothing') %}
        {% endif %}
        {{ return(value.sql ~ ' ' ~ operator) }}
    {% elif value.type == 'json' %}
        {% do cdesk._as_raise(
            where, 'filter on ' ~ value.name, operator,
            'is null, is not null: it is JSON; name a key with cdesk.feature(…)',
        ) %}
    {% elif operator in lists %}
        {{ return(cdesk._as_list_filter(where, value, operator, given.operand)) }}
    {% elif operator.endswith('like') and value.type != 'string' %}
        {% do cdesk._as_raise(where, about, value.type, 'a value of type string') %}
    {% endif %}
    {% set operand = given.operand %}
    {% if operand is mapping and operand.kind is defined %}
        {% set other = cdesk._as_value(where, operand, stream, numbering) %}
        {% do cdesk._as_check_comparable(where, value, other) %}
        {% set literal = other.sql %}
    {% else %}
        {% set literal = cdesk._as_literal(where, value, operand) %}
    {% endif %}
    {{ return(value.sql ~ ' ' ~ comparisons.get(operator, operator) ~ ' ' ~ literal) }}
{%- endmacro %}

{% macro _as_list_filter(where, value, operator, operand) -%}
    {% set between = operator.endswith('between') %}
    {% set listed = operand is sequence and operand is not string and operand is not mapping %}
    {% if not listed or not operand or (between and operand | length != 2) %}
        {% do cdesk._as_raise(
            where, operator ~ ' on ' ~ value.name, operand,
            'a list of two' if between else 'a list of at least one',
        ) %}
    {% endif %}
    {% set literals = [] %}
    {% for item in operand %}
        {% do literals.append(cdesk._as_literal(where, value, item)) %}
    {% endfor %}
    {% set given = literals | join(' and ') if between else '(' ~ literals | join(', ') ~ ')' %}
    {% set sql = value.sql ~ ' ' ~ operator ~ ' ' ~ given %}
    {{ return('(' ~ sql ~ ')' if between else sql) }}
{%- endmacro %}

{# Numbers compare with numbers, everything else with its own type. #}
{% macro _as_check_comparable(where, left, right) -%}
    {% set kinds = {'integer': 'number'} %}
    {% set kind = kinds.get(left.type, left.type) %}
    {% set other = kinds.get(right.type, right.type) %}
    {% if right.function is defined or kind != other or kind == 'json' %}
        {% do cdesk._as_raise(
            where, 'comparison of ' ~ left.name ~ ' (' ~ left.type ~ ')',
            right.name ~ ' (' ~ right.type ~ ')', 'a value of the same type',
        ) %}
    {% endif %}
{%- endmacro %}
