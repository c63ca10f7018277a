{# Every refusal names the model, the macro, the argument, what was given and what is allowed. #}
{% macro _as_raise(where, argument, given, allowed) -%}
    {% set known = model is defined and model %}
    {% set unit = ' in ' ~ model.resource_type ~ ' ' ~ model.name if known else '' %}
    {% set given = cdesk._as_missing_macros() or 'nothing' if given is undefined else given %}
    {{ exceptions.raise_compiler_error(
        'cdesk' ~ unit ~ ': ' ~ where ~ ': ' ~ argument ~ ' was given ' ~ given ~ '; allowed: '
        ~ allowed
    ) }}
{%- endmacro %}

{% macro _as_check_one_of(where, argument, given, allowed) -%}
    {% if given not in allowed %}
        {% do cdesk._as_raise(where, argument, "'" ~ given ~ "'", allowed | join(', ')) %}
    {% endif %}
{%- endmacro %}

{#
    What a macro was given beyond its arguments, by name or not, and which of the arguments that it
    can't do without it wasn't given: `required` are the values of the first of `allowed`.
#}
{% macro _as_check_arguments(where, allowed, named, further, required=[]) -%}
    {% set all = allowed | join(', ') or 'none' %}
    {% set count = allowed | length + further | length %}
    {% if named %}
        {% do cdesk._as_raise(where, 'argument', "'" ~ named | join("', '") ~ "'", all) %}
    {% elif further %}
        {% do cdesk._as_raise(where, 'arguments', count ~ ' of them', all) %}
    {% endif %}
    {% for value in required %}
        {% if value is undefined %}
            {% do cdesk._as_raise(
                where, allowed[loop.index0], value, 'a value, as in ' ~ where ~ '(' ~ all ~ ')'
            ) %}
        {% endif %}
    {% endfor %}
{%- endmacro %}

{# The same for the macro of one relationship. #}
{% macro _as_check_append(relationship, named, further, activity) -%}
    {% set nth = ['nth'] if relationship.startswith('nth_') else [] %}
    {% set allowed = ['activity'] + nth + ['columns', 'conditions', 'prefix'] %}
    {% do cdesk._as_check_arguments(relationship, allowed, named, further, [activity]) %}
{%- endmacro %}

{#
    While dbt parses, a macro that doesn't exist is a value that is undefined, and has forgotten its
    name by the time it was called; the model's text still has it.
#}
{% macro _as_missing_macros() -%}
    {% set text = model.raw_code if model is defined and model else '' %}
    {% set missing = [] %}
    {% for name in modules.re.findall('cdesk[.]([a-zA-Z0-9_]+)', text) %}
        {% if cdesk[name] is undefined %}{% do missing.append('cdesk.' ~ name) %}{% endif %}
    {% endfor %}
    {{ return(missing | join(', ') ~ ', which does not exist' if missing else none) }}
{%- endmacro %}

{% macro _as_check_macro_exists(where, given) -%}
    {% if given is undefined %}
        {% do cdesk._as_raise(
            where, 'appends', given, cdesk._as_relationships() | join(', ') ~ ', derive'
        ) %}
    {% endif %}
{%- endmacro %}

{# A list; one item that stands alone is a list of one. #}
{% macro _as_list_of(where, argument, given, allowed) -%}
    {% if given is mapping %}{{ return([given]) }}{% endif %}
    {% if given is string or given is undefined or given is not sequence %}
        {% do cdesk._as_raise(where, argument, given, allowed) %}
    {% endif %}
    {{ return(given) }}
{%- endmacro %}

{# A list of columns that isn't empty; a name or value that stands alone is a list of one. #}
{% macro _as_columns_of(where, given) -%}
    {% if given is string or given is mapping %}{{ return([given]) }}{% endif %}
    {% if given is undefined or given is not sequence or not given %}
        {% do cdesk._as_raise(where, 'columns', given, 'a list of columns') %}
    {% endif %}
    {{ return(given) }}
{%- endmacro %}

{% macro _as_check_nth(where, nth) -%}
    {% if nth is mapping %}{{ return(none) }}{% endif %}
    {% if nth is not integer or nth is boolean or nth < 1 %}
        {% do cdesk._as_raise(where, 'nth', nth, 'an integer of at least 1') %}
    {% endif %}
{%- endmacro %}

{#
    The activities that exist are known where the var `cdesk__activity_schema_activities` lists
    them; without it any name goes, and finds no rows.
#}
{% macro _as_check_activity_name(name, where) -%}
    {% if name is mapping or name == '*' %}{{ return(none) }}{% endif %}
    {% set names = [name] if name is string else name %}
    {% if names is not sequence or not names %}
        {% do cdesk._as_raise(
            where, 'name', name, "the name of an activity, a list of them, or '*'"
        ) %}
    {% endif %}
    {% set known = cdesk._as_registry().keys() | list %}
    {% for item in names %}
        {% if item is not string or not item %}
            {% do cdesk._as_raise(where, 'name', item, 'the name of an activity') %}
        {% endif %}
        {% if known %}{% do cdesk._as_check_one_of(where, 'name', item, known) %}{% endif %}
    {% endfor %}
{%- endmacro %}

{% macro _as_activity_text(name) -%}
    {% if name is mapping %}{{ return(name.sql) }}{% endif %}
    {{ return(name if name is string or name is not sequence else name | join(', ')) }}
{%- endmacro %}

{% macro _as_check_name(where, argument, name) -%}
    {% if name is not string or not modules.re.match('[a-z][a-z0-9_]*\\Z', name) %}
        {% do cdesk._as_raise(
            where, argument, name,
            'a lower-case name of letters, digits and underscores, beginning with a letter',
        ) %}
    {% endif %}
{%- endmacro %}
