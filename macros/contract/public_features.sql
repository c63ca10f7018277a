{#
    `feature_json` as the ActivitySchema specification wants it: all rows of one activity have the
    same keys. Those that activity_features declares stand with their value or null; others are in
    an object under `more`, null where there are none. An activity of one's own declares none.
#}
{% macro public_features(activity, features) -%}
    case {{ activity }}
        {%- for name, keys in cdesk.activity_features().items() %}
        when '{{ name }}' then {{ cdesk._declared_features(features, keys | list) | trim }}
        {%- endfor %}
        else {{ cdesk._declared_features(features, []) | trim }}
    end
{%- endmacro %}

{% macro _declared_features(features, keys) -%}
    {{ return(adapter.dispatch('_declared_features', 'cdesk')(features, keys)) }}
{%- endmacro %}

{#
    https://docs.snowflake.com/en/sql-reference/functions/object_construct_keep_null and
    https://docs.snowflake.com/en/sql-reference/functions/object_delete
#}
{% macro default___declared_features(features, keys) -%}
    {%- set whole = 'cast(' ~ features ~ ' as object)' -%}
    {%- set more = whole -%}
    {%- if keys -%}
        {%- set more = "object_delete(" ~ whole ~ ", '" ~ keys | join("', '") ~ "')" -%}
    {%- endif -%}
    cast(object_construct_keep_null(
        {%- for key in keys %}
        '{{ key }}', get({{ features }}, '{{ key }}'),
        {%- endfor %}
        'more', case when array_size(object_keys({{ more }})) > 0 then {{ more }} end
    ) as variant)
{%- endmacro %}

{#
    A patch with a null takes a key out, whatever its value.
    https://duckdb.org/docs/stable/data/json/json_functions
#}
{% macro duckdb___declared_features(features, keys) -%}
    {%- set more = features -%}
    {%- if keys -%}
        {%- set nulls = '{"' ~ keys | join('":null,"') ~ '":null}' -%}
        {%- set more = "json_merge_patch(" ~ features ~ ", '" ~ nulls ~ "')" -%}
    {%- endif -%}
    json_object(
        {%- for key in keys %}
        '{{ key }}', json_extract({{ features }}, '$."{{ key }}"'),
        {%- endfor %}
        'more', case when len(json_keys({{ more }})) > 0 then {{ more }} end
    )
{%- endmacro %}
