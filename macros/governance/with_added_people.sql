{# After the seed was put in anew: the people whom add_person let in. #}
{% macro with_added_people() -%}
    {{ return(adapter.dispatch('with_added_people', 'cdesk')()) }}
{%- endmacro %}

{% macro default__with_added_people() -%}
{%- endmacro %}

{% macro snowflake__with_added_people() -%}
    insert into {{ this }} (principal_kind, principal, customer)
    select
        added.principal_kind,
        added.principal,
        added.customer
    from {{ cdesk._snowflake_names().people }} as added
    where not exists (
        select 1
        from {{ this }} as known
        where
            known.principal_kind = added.principal_kind
            and known.principal = added.principal
            and known.customer = added.customer
    )
{%- endmacro %}
