{# A literal of the value's type; a mapping {'sql': …} stands for itself. #}
{% macro _as_literal(where, value, operand) -%}
    {% if operand is mapping %}{{ return(operand.sql) }}{% endif %}
    {% set argument = 'filter on ' ~ value.name %}
    {% if value.type in ['integer', 'number'] %}
        {% if operand is not number or operand is boolean %}
            {% do cdesk._as_raise(where, argument, operand, 'a number (' ~ value.type ~ ')') %}
        {% endif %}
        {% if value.type == 'integer' and operand is not integer %}
            {% do cdesk._as_raise(where, argument, operand, 'an integer') %}
        {% endif %}
        {{ return(operand | string) }}
    {% elif value.type == 'boolean' %}
        {% if operand is not boolean %}
            {% do cdesk._as_raise(where, argument, operand, 'true or false') %}
        {% endif %}
        {{ return('true' if operand else 'false') }}
    {% endif %}
    {% if operand is not string %}
        {% do cdesk._as_raise(where, argument, operand, 'text') %}
    {% endif %}
    {% if value.type == 'timestamp' %}
        {% do cdesk._as_check_timestamp(where, argument, operand) %}
        {{ return(cdesk._as_timestamp(operand)) }}
    {% elif value.type == 'date' %}
        {% if not modules.re.match('[0-9]{4}-[0-9]{2}-[0-9]{2}\\Z', operand) %}
            {% do cdesk._as_raise(where, argument, operand, 'a date, YYYY-MM-DD') %}
        {% endif %}
        {% do cdesk._as_check_calendar(where, argument, operand) %}
        {{ return("cast('" ~ operand ~ "' as date)") }}
    {% endif %}
    {{ return(cdesk._as_string_literal(operand)) }}
{%- endmacro %}

{% macro _as_check_timestamp(where, argument, text) -%}
    {% set day = '[0-9]{4}-[0-9]{2}-[0-9]{2}' %}
    {% set time = '([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?)?' %}
    {% if text is not string or not modules.re.match(day ~ time ~ '\\Z', text) %}
        {% do cdesk._as_raise(
            where, argument, text, 'a UTC timestamp, YYYY-MM-DD or YYYY-MM-DD HH:MM:SS'
        ) %}
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
    {% set dated = year >= 1 and 1 <= month <= 12 and 1 <= day <= days[month - 1] %}
    {% if not dated or time[0] > 23 or time[1] > 59 or time[2] > 59 %}
        {% do cdesk._as_raise(where, argument, text, 'a day and time of the calendar') %}
    {% endif %}
{%- endmacro %}

{% macro _as_timestamp(text) -%}
    {% set whole = text ~ ' 00:00:00' if text | length == 10 else text.replace('T', ' ') %}
    {{ return("cast('" ~ whole ~ "' as " ~ dbt.type_timestamp() ~ ')') }}
{%- endmacro %}

{% macro _as_string_literal(text) -%}
    {{ return(adapter.dispatch('_as_string_literal', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default___as_string_literal(text) -%}
    {{ return("'" ~ text.replace("'", "''") ~ "'") }}
{%- endmacro %}

{# A backslash escapes: https://docs.snowflake.com/en/sql-reference/data-types-text #}
{% macro snowflake___as_string_literal(text) -%}
    {{ return("'" ~ text.replace('\\', '\\\\').replace("'", "''") ~ "'") }}
{%- endmacro %}
