{# The rows of a slice up to which joining them with rows costs less than two more sorts. #}
{% macro _as_few() -%}
    {{ return(32) }}
{%- endmacro %}

{# The length of the window in seconds, where it is always the same; else none. #}
{% macro _as_rolling_seconds(plan) -%}
    {% set units = cdesk._as_interval_units() %}
    {% set fixed = ['second', 'minute', 'hour', 'day', 'week'] %}
    {% set at = {} %}
    {% for limit in [plan.low, plan.high] if limit and limit.offset %}
        {% if limit.offset[1] in fixed or limit.offset[0] == 0 %}
            {% do at.update({limit.side: limit.offset[0] * units[limit.offset[1]]}) %}
        {% endif %}
    {% endfor %}
    {% set known = 'low' in at and 'high' in at and at.high > at.low %}
    {{ return(at.high - at.low if known else none) }}
{%- endmacro %}

{# Whether a plan is of this form. #}
{% macro _as_is_rolling(plan) -%}
    {% set functions = [
        'count', 'count_if', 'sum', 'avg', 'min', 'max', 'any', 'all', 'first_value', 'last_value',
        'ratio',
    ] %}
    {% set others = plan['values'] | rejectattr('function', 'in', functions) | list %}
    {{ return(not others and cdesk._as_rolling_seconds(plan) is not none) }}
{%- endmacro %}

{# The running aggregates that are put together: the values', and for `avg` a sum and a count. #}
{% macro _as_rolling_parts(values) -%}
    {% set parts = [] %}
    {% for value in values %}
        {% if value.function == 'avg' %}
            {% set copied = {'type': none, 'copied': value.name} %}
            {% do parts.append(dict(value, function='sum', name=value.name ~ '_sum', **copied)) %}
            {% do parts.append(dict(value, function='count', name=value.name ~ '_n', **copied)) %}
        {% else %}
            {% do parts.append(value) %}
        {% endif %}
    {% endfor %}
    {{ return(parts) }}
{%- endmacro %}

{# An aggregate of a window, from that of its part in the earlier slice and that in the later. #}
{% macro _as_put_together(value) -%}
    {% set function = value.function %}
    {% set since, until = '_since' ~ value.name, '_until' ~ value.name %}
    {% if function == 'avg' %}
        {% set sum = cdesk._as_put_together({'function': 'sum', 'name': value.name ~ '_sum'}) %}
        {% set n = cdesk._as_put_together({'function': 'count', 'name': value.name ~ '_n'}) %}
        {{ return(sum ~ ' / nullif(' ~ n ~ ', 0)') }}
    {% elif function in cdesk._as_counts() %}
        {{ return('coalesce(' ~ since ~ ', 0) + coalesce(' ~ until ~ ', 0)') }}
    {% endif %}
    {% set both = {
        'sum': since ~ ' + ' ~ until, 'any': since ~ ' or ' ~ until, 'all': since ~ ' and ' ~ until,
        'min': 'least(' ~ since ~ ', ' ~ until ~ ')',
        'max': 'greatest(' ~ since ~ ', ' ~ until ~ ')',
        'first_value': since, 'last_value': until,
    }[function] %}
    {{ return('coalesce(' ~ [both, until, since] | join(', ') ~ ')') }}
{%- endmacro %}
