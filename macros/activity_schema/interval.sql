{# A span of time, to be added to or taken from a timestamp by `cdesk.calc`. #}
{% macro interval(amount, unit) -%}
    {% do cdesk._as_check_arguments(
        'interval', ['amount', 'unit'],
        kwargs, varargs, [amount, unit],
    ) %}
    {% if amount is not integer or amount is boolean or amount < 0 %}
        {% do cdesk._as_raise('interval', 'amount', amount, 'an integer of at least 0') %}
    {% endif %}
    {% do cdesk._as_check_one_of('interval', 'unit', unit, cdesk._as_interval_units() | list) %}
    {{ return({'kind': 'interval', 'amount': amount, 'unit': unit}) }}
{%- endmacro %}

{# The longest that one unit lasts, in seconds. #}
{% macro _as_interval_units() -%}
    {{ return({
        'second': 1, 'minute': 60, 'hour': 3600, 'day': 86400, 'week': 604800, 'month': 2678400,
        'quarter': 7948800, 'year': 31622400,
    }) }}
{%- endmacro %}
