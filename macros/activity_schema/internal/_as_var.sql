{#
    A var, which a project that depends on this one may set at the top of its `vars` or under
    `cdesk:`. dbt looks there for this package's own models alone; these macros run in the other
    project's models.
#}
{% macro _as_var(name, default) -%}
    {% set scoped = var('cdesk', none) %}
    {% if scoped is mapping and scoped.get(name) is not none %}{{ return(scoped[name]) }}{% endif %}
    {% set given = var(name, none) %}
    {{ return(default if given is none else given) }}
{%- endmacro %}
