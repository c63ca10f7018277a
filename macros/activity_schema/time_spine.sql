{#
    A cohort of instants instead of activities: one row for every customer and every start of a
    period, from `since` to before `until`. Customers are all of the stream's, or, with `activity`,
    those who did it, from the period of their first time on.

    `since` and `until` are times of `time_zone`, as the periods are; `ts` is UTC all the same.
    `since` may be 'minimum', the stream's first instant; `until` 'now' or 'maximum', whose own
    period is then the last one.

    Its columns are activity_id (customer and instant), customer, ts and ends_at; a row with only an
    anonymous customer stands under that name. A period's window (…_in_between) holds its own start
    and ends with the period.
#}
{% macro time_spine(
    period, since='minimum', until='now', activity=none, columns=none, time_zone='UTC'
) -%}
    {% do cdesk._as_check_arguments(
        'time_spine', ['period', 'since', 'until', 'activity', 'columns', 'time_zone'],
        kwargs, varargs, [period],
    ) %}
    {% set where = 'time_spine' %}
    {% set periods = ['hour', 'day', 'week', 'month', 'quarter', 'year'] %}
    {% do cdesk._as_check_one_of(where, 'period', period, periods) %}
    {% if since != 'minimum' %}{% do cdesk._as_check_timestamp(where, 'since', since) %}{% endif %}
    {% if until not in ['now', 'maximum'] %}
        {% do cdesk._as_check_timestamp(where, 'until', until) %}
        {% if since != 'minimum' and since.replace('T', ' ') >= until.replace('T', ' ') %}
            {% do cdesk._as_raise(
                where, 'since and until', since ~ ' to ' ~ until, 'a since before the until'
            ) %}
        {% endif %}
    {% endif %}
    {% if time_zone not in modules.pytz.all_timezones %}
        {% do cdesk._as_raise(where, 'time_zone', time_zone, 'a name such as Europe/Lisbon') %}
    {% endif %}
    {% set named = activity is none or (activity is mapping and activity.kind == 'activity') %}
    {% set activity = activity if named else cdesk.activity(activity) %}
    {% if activity is not none and activity.occurrence != 'all' %}
        {% do cdesk._as_raise(
            where, 'activity', activity.occurrence,
            "a name, or cdesk.activity(…) with occurrence 'all'",
        ) %}
    {% endif %}
    {{ return({
        'kind': 'time_spine', 'period': period, 'since': since, 'until': until,
        'activity': activity, 'columns': columns, 'time_zone': time_zone, 'occurrence': 'all',
    }) }}
{%- endmacro %}
