{# At or after the bound `since` and before the bound `until`; each may be null. #}
{% macro bound_span(column) -%}
{%- do cdesk._as_check_arguments('bound_span', ['column'], kwargs, varargs, [column]) -%}
    {{ column }} >= coalesce({{ cdesk.bind_as('since', 'timestamp') }}, {{ column }})
        and (
            {{ cdesk.bind_as('until', 'timestamp') }} is null
            or {{ column }} < {{ cdesk.bind_as('until', 'timestamp') }}
        )
{%- endmacro %}
