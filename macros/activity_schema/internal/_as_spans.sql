{# The relationships: what is picked, and of which span of time around the cohort row. #}
{% macro _as_relationships() -%}
    {% set names = [] %}
    {% for span in ['ever', 'before', 'at_or_before', 'after', 'at_or_after', 'in_between',
                    'between_before'] %}
        {% for pick in ['first', 'last', 'nth', 'aggregate'] %}
            {% set all = 'all_' if pick == 'aggregate' and span == 'ever' else '' %}
            {% do names.append(pick ~ '_' ~ all ~ span) %}
        {% endfor %}
    {% endfor %}
    {{ return(names) }}
{%- endmacro %}

{#
    The limits of a span on the appended row's time, {'low', 'high'}; none where it has no end. An
    `open` limit is the cohort's next (or previous) row, which may not exist. The windows of a time
    spine hold their own start, those between activities don't.

    `instant`, where it is given, is SQL for 1 or 0: whether `before` and `after` hold the cohort
    row's own instant; the limit is then moved by a microsecond, the least that two times differ by.
#}
{% macro _as_span_bounds(span, spine, instant=none) -%}
    {% set at = span.startswith('at_or_') %}
    {% set own = {'sql': 'c._ts', 'offset': [0, 'second'], 'inclusive': at} %}
    {% set low = dict(own, side='low') %}
    {% set high = dict(own, side='high') %}
    {% if instant and span in ['before', 'after'] %}
        {% set moved = cdesk._as_moved('c._ts', '-' ~ instant, 'microsecond') %}
        {% set low = dict(low, sql=moved, offset=none) %}
        {% set moved = cdesk._as_moved('c._ts', instant, 'microsecond') %}
        {% set high = dict(high, sql=moved, offset=none) %}
    {% endif %}
    {% set next = {'side': 'high', 'sql': 'c._next_ts', 'inclusive': false, 'open': true} %}
    {% set previous = {'side': 'low', 'sql': 'c._previous_ts', 'inclusive': spine, 'open': true} %}
    {{ return({
        'ever': {},
        'before': {'high': high}, 'at_or_before': {'high': high},
        'after': {'low': low}, 'at_or_after': {'low': low},
        'in_between': {'low': dict(low, inclusive=spine), 'high': next},
        'between_before': {'low': previous, 'high': high},
    }[span]) }}
{%- endmacro %}

{#
    The span's limits with those of the conditions put in: a limit on a side that has none, or that
    is surely the nearer one. What can't be told is left over as a check of the row found.
#}
{% macro _as_join_bounds(limits, bounds) -%}
    {% set joined = {'low': limits.get('low'), 'high': limits.get('high'), 'left': []} %}
    {% for bound in bounds %}
        {% set held = joined[bound.side] %}
        {% if held is none %}
            {% do joined.update({bound.side: bound}) %}
        {% elif held.sql == 'c._ts' and bound.offset
            and ((bound.side == 'low' and bound.offset[0] > 0)
                 or (bound.side == 'high' and bound.offset[0] < 0)) %}
            {% do joined.update({bound.side: bound}) %}
        {% else %}
            {% do joined.left.append(bound) %}
        {% endif %}
    {% endfor %}
    {{ return(joined) }}
{%- endmacro %}
