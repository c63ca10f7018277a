{#
    The model that the var `cdesk__activity_schema_stream` names, with the columns of
    `cdesk__activity_schema_columns`; without them, this project's `events`.
#}
{% macro default_stream() -%}
    {% do cdesk._as_check_arguments('default_stream', [], kwargs, varargs) %}
    {% set name = cdesk._as_var('cdesk__activity_schema_stream', none) %}
    {% if name %}
        {% set columns = cdesk._as_var('cdesk__activity_schema_columns', {}) %}
        {{ return(cdesk.stream(cdesk._as_model_named(name), columns)) }}
    {% endif %}
    {{ return(cdesk.events_stream()) }}
{%- endmacro %}

{#
    A model by its name, or as `package.model`. From this package's own model a name alone is the
    project's that depends on it, and said to be so: dbt warns of cycles otherwise.
#}
{% macro _as_model_named(name) -%}
    {% set parts = name.split('.') %}
    {% if parts | length == 2 %}{{ return(ref(parts[0], parts[1])) }}{% endif %}
    {% set package = model.package_name if model is defined and model else project_name %}
    {{ return(ref(name) if package == project_name else ref(project_name, name)) }}
{%- endmacro %}
