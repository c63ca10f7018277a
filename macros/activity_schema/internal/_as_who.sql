{#
    By what rows relate: the customer, or the anonymous customer where there is none; or the value
    that `entity` names. Customers may be numbers while anonymous ones are text.
#}
{% macro _as_who(stream, entity=none) -%}
    {% if entity is mapping and entity.sql %}{{ return(entity.sql) }}{% endif %}
    {% if entity is not none %}
        {% set value = cdesk._as_value('dataset', entity, stream) %}
        {% if value.function is defined or value.type == 'json' %}
            {% do cdesk._as_raise('dataset', 'entity', value.name, 'a column or feature') %}
        {% endif %}
        {{ return(value.sql) }}
    {% endif %}
    {% set customer = stream.columns.customer.column %}
    {% set anonymous = stream.columns.anonymous_customer_id.column %}
    {% if not anonymous %}{{ return(customer) }}{% endif %}
    {% if stream.typed %}{{ return('coalesce(' ~ customer ~ ', ' ~ anonymous ~ ')') }}{% endif %}
    {% set text = dbt.type_string() %}
    {{ return(
        'coalesce(cast(' ~ customer ~ ' as ' ~ text ~ '), cast(' ~ anonymous ~ ' as ' ~ text ~ '))'
    ) }}
{%- endmacro %}

{#
    Whether `_who`, by which rows are related, is a number given to each of the cohort's customers
    instead of the customer itself. On DuckDB an ASOF join by numbers takes about two thirds of the
    time of one by text, the numbering included; on Snowflake it isn't measured.
#}
{% macro _as_numbers_customers() -%}
    {{ return(adapter.dispatch('_as_numbers_customers', 'cdesk')()) }}
{%- endmacro %}

{% macro default___as_numbers_customers() -%}
    {{ return(true) }}
{%- endmacro %}

{% macro snowflake___as_numbers_customers() -%}
    {{ return(false) }}
{%- endmacro %}
