{# Every refusal names the model, the macro, the argument, what was given and what is allowed. #}
{% macro _as_raise(where, argument, given, allowed) -%}
    {% set unit = ' in ' ~ model.resource_type ~ ' ' ~ model.name if model is defined and model else '' %}
    {{ exceptions.raise_compiler_error(
        'cdesk' ~ unit ~ ': ' ~ where ~ ': ' ~ argument ~ ' was given ' ~ given ~ '; allowed: ' ~ allowed
    ) }}
{%- endmacro %}

{% macro _as_check_one_of(where, argument, given, allowed) -%}
    {% if given not in allowed %}
        {% set near = cdesk._as_nearest(given, allowed) %}
        {% do cdesk._as_raise(
            where, argument, "'" ~ given ~ "'" ~ (" (did you mean '" ~ near ~ "'?)" if near else ''), allowed | join(', ')
        ) %}
    {% endif %}
{%- endmacro %}

{% macro _as_check_list(where, argument, given, allowed) -%}
    {% if given is string or given is mapping or given is not sequence %}
        {% do cdesk._as_raise(where, argument, 'one' if given is mapping else given, allowed) %}
    {% endif %}
{%- endmacro %}

{% macro _as_check_nth(where, nth) -%}
    {% if nth is mapping %}{{ return(none) }}{% endif %}
    {% if nth is not integer or nth is boolean or nth < 1 %}
        {% do cdesk._as_raise(where, 'nth', nth, 'an integer of at least 1') %}
    {% endif %}
{%- endmacro %}

{# The activities that exist are known where the var `cdesk__activity_schema_activities` lists them; without it any name goes, and finds no rows. #}
{% macro _as_check_activity_name(name, where) -%}
    {% if name is mapping %}{{ return(none) }}{% endif %}
    {% if name is not string or not name %}
        {% do cdesk._as_raise(where, 'name', name, 'the name of an activity') %}
    {% endif %}
    {% set known = var('cdesk__activity_schema_activities', []) %}
    {% if known %}{% do cdesk._as_check_one_of(where, 'name', name, known) %}{% endif %}
{%- endmacro %}

{% macro _as_check_name(where, argument, name) -%}
    {% if name is not string or not modules.re.match('[a-z][a-z0-9_]*\\Z', name) %}
        {% do cdesk._as_raise(where, argument, name, 'a lower-case name of letters, digits and underscores, beginning with a letter') %}
    {% endif %}
{%- endmacro %}

{# The allowed name that takes fewest edits (a letter added, left out, changed, or two swapped), or none where all take more than a third of it. #}
{% macro _as_nearest(given, allowed) -%}
    {% set text = given | string | lower %}
    {% set best = namespace(name=none, edits=[text | length // 3, 1] | max + 1) %}
    {% for candidate in allowed if (candidate | length - text | length) | abs < best.edits %}
        {% set edits = cdesk._as_edits(text, candidate | lower) %}
        {% if edits < best.edits %}
            {% set best.name = candidate %}
            {% set best.edits = edits %}
        {% endif %}
    {% endfor %}
    {{ return(best.name) }}
{%- endmacro %}

{# The optimal string alignment distance, row by row. #}
{% macro _as_edits(a, b) -%}
    {% set rows = namespace(before=[], above=range(b | length + 1) | list) %}
    {% for i in range(a | length) %}
        {% set row = [i + 1] %}
        {% for j in range(b | length) %}
            {% set costs = [row[j] + 1, rows.above[j + 1] + 1, rows.above[j] + (0 if a[i] == b[j] else 1)] %}
            {% if i and j and a[i] == b[j - 1] and a[i - 1] == b[j] %}{% do costs.append(rows.before[j - 1] + 1) %}{% endif %}
            {% do row.append(costs | min) %}
        {% endfor %}
        {% set rows.before = rows.above %}
        {% set rows.above = row %}
    {% endfor %}
    {{ return(rows.above[-1]) }}
{%- endmacro %}
