{# The SQL conditions of an activity's filters, each to be joined by `and`. #}
{% macro _as_filters_sql(where, filters, stream) -%}
    {% do cdesk._as_check_list(where, 'filters', filters, 'a list of cdesk.filter(…)') %}
    {% set conditions = [] %}
    {% for given in filters %}
        {% if given is not mapping or given.kind != 'filter' %}{% do cdesk._as_raise(where, 'filters', given, 'a list of cdesk.filter(…)') %}{% endif %}
        {% do cdesk._as_check_one_of(where, 'filter operator', given.operator, ['equals', 'in', 'between', 'is null', 'is not null']) %}
        {% set value = cdesk._as_value(where, given.value, stream) %}
        {% set operand = given.operand %}
        {% if value.type == 'json' and not given.operator.startswith('is ') %}
            {% do cdesk._as_raise(where, 'filter on ' ~ value.name, given.operator, 'is null, is not null: it is JSON; name a key with cdesk.feature(…)') %}
        {% endif %}
        {% if given.operator.startswith('is ') %}
            {% if operand is not none %}{% do cdesk._as_raise(where, given.operator ~ ' ' ~ value.name, operand, 'nothing') %}{% endif %}
            {% do conditions.append(value.sql ~ ' ' ~ given.operator) %}
        {% elif given.operator == 'equals' %}
            {% do conditions.append(value.sql ~ ' = ' ~ cdesk._as_literal(where, value, operand)) %}
        {% else %}
            {% set between = given.operator == 'between' %}
            {% if operand is string or operand is mapping or operand is not sequence or not operand or (between and operand | length != 2) %}
                {% do cdesk._as_raise(where, given.operator ~ ' on ' ~ value.name, operand, 'a list of two' if between else 'a list of at least one') %}
            {% endif %}
            {% set literals = [] %}
            {% for item in operand %}{% do literals.append(cdesk._as_literal(where, value, item)) %}{% endfor %}
            {% do conditions.append(value.sql ~ (' between ' ~ literals | join(' and ') if between else ' in (' ~ literals | join(', ') ~ ')')) %}
        {% endif %}
    {% endfor %}
    {{ return(conditions) }}
{%- endmacro %}

{# A literal of the value's type; a mapping {'sql': …} stands for itself. #}
{% macro _as_literal(where, value, operand) -%}
    {% if operand is mapping %}{{ return(operand.sql) }}{% endif %}
    {% set argument = 'filter on ' ~ value.name %}
    {% if value.type in ['integer', 'number'] %}
        {% if operand is not number or operand is boolean or (value.type == 'integer' and operand is not integer) %}
            {% do cdesk._as_raise(where, argument, operand, 'an ' ~ value.type if value.type == 'integer' else 'a number') %}
        {% endif %}
        {{ return(operand | string) }}
    {% elif value.type == 'boolean' %}
        {% if operand is not boolean %}{% do cdesk._as_raise(where, argument, operand, 'true or false') %}{% endif %}
        {{ return('true' if operand else 'false') }}
    {% endif %}
    {% if operand is not string %}{% do cdesk._as_raise(where, argument, operand, 'text') %}{% endif %}
    {% if value.type == 'timestamp' %}
        {% do cdesk._as_check_timestamp(where, argument, operand) %}
        {{ return(cdesk._as_timestamp(operand)) }}
    {% elif value.type == 'date' %}
        {% if not modules.re.match('[0-9]{4}-[0-9]{2}-[0-9]{2}\\Z', operand) %}{% do cdesk._as_raise(where, argument, operand, 'a date, YYYY-MM-DD') %}{% endif %}
        {% do cdesk._as_check_calendar(where, argument, operand) %}
        {{ return("cast('" ~ operand ~ "' as date)") }}
    {% endif %}
    {{ return(cdesk._as_string_literal(operand)) }}
{%- endmacro %}

{% macro _as_check_timestamp(where, argument, text) -%}
    {% if text is not string or not modules.re.match('[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?)?\\Z', text) %}
        {% do cdesk._as_raise(where, argument, text, 'a UTC timestamp, YYYY-MM-DD or YYYY-MM-DD HH:MM:SS') %}
    {% endif %}
    {% do cdesk._as_check_calendar(where, argument, text) %}
{%- endmacro %}

{# Whether there is such a day and such a time; Jinja can't catch what a parser would raise. #}
{% macro _as_check_calendar(where, argument, text) -%}
    {% set parts = modules.re.findall('[0-9]+', text) | map('int') | list %}
    {% set year, month, day = parts[0], parts[1], parts[2] %}
    {% set leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) %}
    {% set days = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] %}
    {% set time = parts[3:6] + [0, 0, 0] %}
    {% if year < 1 or month < 1 or month > 12 or day < 1 or day > days[month - 1] or time[0] > 23 or time[1] > 59 or time[2] > 59 %}
        {% do cdesk._as_raise(where, argument, text, 'a day and time of the calendar') %}
    {% endif %}
{%- endmacro %}

{% macro _as_timestamp(text) -%}
    {{ return("cast('" ~ (text ~ ' 00:00:00' if text | length == 10 else text.replace('T', ' ')) ~ "' as " ~ dbt.type_timestamp() ~ ')') }}
{%- endmacro %}

{% macro _as_string_literal(text) -%}
    {{ return(adapter.dispatch('_as_string_literal', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default___as_string_literal(text) -%}
    {{ return("'" ~ text.replace("'", "''") ~ "'") }}
{%- endmacro %}

{# A backslash escapes in a Snowflake literal: https://docs.snowflake.com/en/sql-reference/data-types-text #}
{% macro snowflake___as_string_literal(text) -%}
    {{ return("'" ~ text.replace('\\', '\\\\').replace("'", "''") ~ "'") }}
{%- endmacro %}
