{#
    The conditions of an append, sorted by what they are good for:

        keys      equalities of the appended and the cohort row; they partition the appended rows
        bounds    limits on the appended row's time: {'side', 'sql', 'inclusive', 'offset'}; `sql`
                  reads a cohort row `c`; `offset` = [amount, unit] where it is c's time, moved
        checks    everything else, as a tree that `_as_check_sql` writes

    `leaves` are all comparisons with a value of the cohort row: {'name', 'sql', 'cohort'}; both
    sides carry the value under that name. `computed` says whether one reads an earlier output.
#}
{% macro _as_plan_conditions(where, append, index, stream, numbering, span) -%}
    {% set plan = {
        'where': where, 'index': index, 'span': span, 'leaves': [], 'keys': [], 'bounds': [],
        'checks': [], 'computed': false,
    } %}
    {% set allowed = 'a list of cdesk.condition(…), cdesk.within(…), any_of and all_of' %}
    {% for given in cdesk._as_list_of(where, 'conditions', append.conditions, allowed) %}
        {% if given is mapping and given.kind == 'within' %}
            {% do plan.bounds.extend(cdesk._as_within_bounds(where, given, span)) %}
        {% else %}
            {% set tree = cdesk._as_plan_condition(given, plan, stream, numbering) %}
            {% if tree.equal %}
                {% do plan['keys'].append(tree.name) %}
            {% elif tree.bound %}
                {% do plan.bounds.append(tree.bound) %}
            {% else %}
                {% do plan.checks.append(tree) %}
            {% endif %}
        {% endif %}
    {% endfor %}
    {{ return(plan) }}
{%- endmacro %}

{# One condition or group, as a tree; its leaves are put into the plan. #}
{% macro _as_plan_condition(given, plan, stream, numbering) -%}
    {% set where = plan.where %}
    {% set allowed = ['condition', 'filter', 'within', 'group'] %}
    {% if given is not mapping or given.kind not in allowed %}
        {% do cdesk._as_raise(
            where, 'conditions', given,
            'a list of cdesk.condition(…), cdesk.within(…), any_of and all_of',
        ) %}
    {% endif %}
    {% set name = '_k_' ~ plan.index ~ '_' ~ (plan.leaves | length + 1) %}
    {% if given.kind == 'group' %}
        {% set items = [] %}
        {% for item in cdesk._as_list_of(where, 'group', given['items'], 'a list of conditions') %}
            {% do items.append(cdesk._as_plan_condition(item, plan, stream, numbering)) %}
        {% endfor %}
        {% if not items %}
            {% do cdesk._as_raise(where, 'group', 'no condition', 'at least one condition') %}
        {% endif %}
        {{ return({'word': given.word, 'items': items}) }}
    {% elif given.kind == 'within' %}
        {{ return({'word': 'and', 'items': cdesk._as_within_bounds(where, given, plan.span)}) }}
    {% elif given.kind == 'filter' %}
        {% set sql = cdesk._as_filter_sql(where, given, stream, numbering) %}
        {% do plan.leaves.append({'name': name, 'sql': sql, 'cohort': none}) %}
        {{ return({'truth': name}) }}
    {% endif %}
    {% set comparisons = cdesk._as_comparisons() %}
    {% do cdesk._as_check_one_of(
        where, 'condition operator', given.operator, comparisons.keys() | list
    ) %}
    {% set operator = comparisons[given.operator] %}
    {% set value = cdesk._as_value(where, given.append, stream, numbering) %}
    {% if value.function is defined %}
        {% do cdesk._as_raise(where, 'condition', value.name, 'a column or feature') %}
    {% endif %}
    {% set computed = cdesk._as_reads_output(given.cohort) %}
    {% if computed %}{% do plan.update({'computed': true}) %}{% endif %}
    {% do plan.leaves.append({
        'name': name, 'sql': value.sql, 'cohort': given.cohort, 'computed': computed,
        'value': value,
    }) %}
    {% set tree = {'name': name, 'operator': operator, 'equal': operator == '='} %}
    {% set timed = value.sql == stream.columns.ts.column and operator not in ['=', '!='] %}
    {% if timed %}
        {% do tree.update({'bound': {
            'side': 'high' if operator.startswith('<') else 'low', 'sql': 'c.' ~ name,
            'inclusive': operator.endswith('='), 'offset': cdesk._as_offset(given.cohort),
            'tree': tree,
        }}) %}
    {% endif %}
    {{ return(tree) }}
{%- endmacro %}

{# Whether a value on the cohort's side names an output column. #}
{% macro _as_reads_output(value) -%}
    {% if value is not mapping %}{{ return(false) }}{% endif %}
    {% if value.kind == 'calc' %}
        {{ return(cdesk._as_reads_output(value.left) or cdesk._as_reads_output(value.right)) }}
    {% endif %}
    {{ return(value.kind == 'output') }}
{%- endmacro %}

{# [amount, unit] where a value is the cohort row's time, moved by an interval; else none. #}
{% macro _as_offset(value) -%}
    {% if value == 'ts' %}{{ return([0, 'second']) }}{% endif %}
    {% if value is mapping and value.kind == 'calc' and value.left == 'ts'
        and value.right is mapping and value.right.kind == 'interval' %}
        {% set sign = -1 if value.operator == '-' else 1 %}
        {{ return([sign * value.right.amount, value.right.unit]) }}
    {% endif %}
    {{ return(none) }}
{%- endmacro %}

{# The limits that `within` means, by the direction in which the relationship looks. #}
{% macro _as_within_bounds(where, given, span) -%}
    {% set bounds = [] %}
    {% set backwards = span.endswith('before') %}
    {% if span == 'ever' %}
        {% if given.near is not none %}
            {% do cdesk._as_raise(where, 'at_least', given.near, 'nothing for …_ever') %}
        {% endif %}
        {% do bounds.append(cdesk._as_bound('low', -1, given.far)) %}
        {% do bounds.append(cdesk._as_bound('high', 1, given.far)) %}
        {{ return(bounds) }}
    {% endif %}
    {% set sign = -1 if backwards else 1 %}
    {% set sides = ['low', 'high'] if backwards else ['high', 'low'] %}
    {% do bounds.append(cdesk._as_bound(sides[0], sign, given.far)) %}
    {% if given.near is not none %}
        {% do bounds.append(cdesk._as_bound(sides[1], sign, given.near)) %}
    {% endif %}
    {{ return(bounds) }}
{%- endmacro %}

{#
    A limit at the cohort row's time, moved forwards or (sign -1) back; the limit itself belongs to
    it. A distance that is SQL may be null: there is no limit then.
#}
{% macro _as_bound(side, sign, distance) -%}
    {% if distance.sql %}
        {% set amount = ('-' if sign < 0 else '') ~ distance.sql %}
        {{ return({
            'side': side, 'sql': cdesk._as_moved('c._ts', amount, distance.unit),
            'inclusive': true, 'offset': none, 'open': true, 'seconds': distance.sql,
        }) }}
    {% endif %}
    {% set amount = sign * distance.amount %}
    {{ return({
        'side': side, 'sql': cdesk._as_moved('c._ts', amount, distance.unit), 'inclusive': true,
        'offset': [amount, distance.unit],
    }) }}
{%- endmacro %}

{#
    A tree of conditions as SQL. `a` and `c` are what the names of the appended and of the cohort
    row's values begin with: 'a.' and 'c.', or '' and '_window' where both stand in one row.
#}
{% macro _as_check_sql(tree, a, c) -%}
    {% if tree['items'] is defined and tree.word %}
        {% set parts = [] %}
        {% for item in tree['items'] %}
            {% do parts.append(cdesk._as_check_sql(item, a, c)) %}
        {% endfor %}
        {{ return('(' ~ parts | join(' ' ~ tree.word ~ ' ') ~ ')') }}
    {% elif tree.truth %}
        {{ return(a ~ tree.truth) }}
    {% elif tree.side %}
        {{ return(cdesk._as_bound_sql(tree, a ~ '_ts', c)) }}
    {% endif %}
    {{ return(a ~ tree.name ~ ' ' ~ tree.operator ~ ' ' ~ c ~ tree.name) }}
{%- endmacro %}

{# Whether `ts` keeps to a limit; a limit that is `open` doesn't hold where it is null. #}
{% macro _as_bound_sql(bound, ts, c='c.') -%}
    {% set sql = bound.sql.replace('c._', c ~ '_') %}
    {% set sign = ('<' if bound.side == 'high' else '>') ~ ('=' if bound.inclusive else '') %}
    {% set held = ts ~ ' ' ~ sign ~ ' ' ~ sql %}
    {{ return('(' ~ sql ~ ' is null or ' ~ held ~ ')' if bound.open else held) }}
{%- endmacro %}
