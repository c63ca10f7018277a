{# A key of an object column as boolean; null where it is none. #}
{% macro json_boolean(column, key) -%}
    case {{ cdesk.json_string(column, key) }} when 'true' then true when 'false' then false end
{%- endmacro %}
