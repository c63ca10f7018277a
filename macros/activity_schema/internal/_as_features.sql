{#
    A key of feature_json as a type. A value is of a type if JSON has it so, or as text that spells
    it the way JSON or ISO 8601 does; all else is null: no rounding, no "yes" for true.
#}
{% macro _as_feature_sql(column, key, type) -%}
    {% if type == 'json' %}{{ return(cdesk._as_feature_json(column, key)) }}{% endif %}
    {% set text = cdesk._as_feature_text(column, key) %}
    {% if type == 'string' %}{{ return(text) }}{% endif %}
    {{ return((cdesk._as_typed_text(text, type) | trim)) }}
{%- endmacro %}

{% macro _as_typed_text(text, type) -%}
    {%- set day = '[0-9]{4}-[0-9]{2}-[0-9]{2}' -%}
    {%- set time = '[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?' -%}
    {%- if type == 'boolean' -%}
case {{ text }} when 'true' then true when 'false' then false end
    {%- elif type == 'integer' -%}
case
            when {{ cdesk.matches(text, '-?[0-9]+([.]0+)?') | trim }}
                then {{ cdesk.try_bigint('split_part(' ~ text ~ ", '.', 1)") | trim }}
        end
    {%- elif type == 'number' -%}
case
            when {{ cdesk.matches(text, '-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?') | trim }}
                then {{ cdesk.try_double(text) | trim }}
        end
    {%- elif type == 'date' -%}
case when {{ cdesk.matches(text, day) | trim }} then try_cast({{ text }} as date) end
    {%- else -%}
case
            when {{ cdesk.matches(text, day ~ time ~ '(Z|[+-][0-9]{2}(:?[0-9]{2})?)') | trim }}
                then {{ cdesk._as_utc(text) }}
            when {{ cdesk.matches(text, day ~ '(' ~ time ~ ')?') | trim }}
                then try_cast({{ text }} as {{ dbt.type_timestamp() }})
        end
    {%- endif -%}
{%- endmacro %}

{# A text with an offset, as the UTC timestamp that it means; null where no calendar has it. #}
{% macro _as_utc(text) -%}
    {{ return(adapter.dispatch('_as_utc', 'cdesk')(text)) }}
{%- endmacro %}

{# `at time zone` would need an extension. #}
{% macro default___as_utc(text) -%}
    {{ return('make_timestamp(epoch_us(try_cast(' ~ text ~ ' as timestamptz)))') }}
{%- endmacro %}

{% macro snowflake___as_utc(text) -%}
    {{ return("convert_timezone('UTC', try_to_timestamp_tz(" ~ text ~ '))::timestamp_ntz') }}
{%- endmacro %}

{# A key's value as text; null for JSON null and where the key is missing. #}
{% macro _as_feature_text(column, key) -%}
    {{ return(adapter.dispatch('_as_feature_text', 'cdesk')(column, key)) }}
{%- endmacro %}

{# A JSON pointer takes any key: https://duckdb.org/docs/stable/data/json/json_functions #}
{% macro default___as_feature_text(column, key) -%}
    {{ return('json_extract_string(' ~ column ~ ', ' ~ cdesk._as_json_pointer(key) ~ ')') }}
{%- endmacro %}

{% macro snowflake___as_feature_text(column, key) -%}
    {{ return('get(' ~ column ~ ', ' ~ cdesk._as_string_literal(key) ~ ')::varchar') }}
{%- endmacro %}

{% macro _as_feature_json(column, key) -%}
    {{ return(adapter.dispatch('_as_feature_json', 'cdesk')(column, key)) }}
{%- endmacro %}

{% macro default___as_feature_json(column, key) -%}
    {{ return('json_extract(' ~ column ~ ', ' ~ cdesk._as_json_pointer(key) ~ ')') }}
{%- endmacro %}

{% macro snowflake___as_feature_json(column, key) -%}
    {{ return('get(' ~ column ~ ', ' ~ cdesk._as_string_literal(key) ~ ')') }}
{%- endmacro %}

{% macro _as_json_pointer(key) -%}
    {{ return(cdesk._as_string_literal('/' ~ key.replace('~', '~0').replace('/', '~1'))) }}
{%- endmacro %}
