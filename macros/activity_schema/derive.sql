{# A column computed from output columns; it stands among the appends, which may use it later. #}
{% macro derive(name, value) -%}
    {% do cdesk._as_check_arguments('derive', ['name', 'value'], kwargs, varargs, [name, value]) %}
    {% do cdesk._as_check_name('derive', 'name', name) %}
    {{ return({'kind': 'derive', 'name': name, 'value': value}) }}
{%- endmacro %}
