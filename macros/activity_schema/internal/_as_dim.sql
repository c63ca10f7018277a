{% macro _as_check_dim(dim, outputs) -%}
    {% if dim is not mapping or dim.kind != 'dim' %}
        {% do cdesk._as_raise(
            'dataset', 'dims', dim, 'a list of cdesk.dim(…) and cdesk.customer_dim(…)'
        ) %}
    {% endif %}
    {% do cdesk._as_check_one_of('dim', 'on', dim.on, outputs) %}
    {{ return(dim.columns | map(attribute='as') | list) }}
{%- endmacro %}

{% macro _as_dim_cte(dim, name) -%}
{%- set columns = dim.columns | map(attribute='column') | unique | list -%}
{%- set columns = columns | reject('equalto', dim.key) | list -%}
{{ name }} as (
    select
        {{ ([dim.key] + columns) | join(',\n        ') }}
    from {{ dim.relation }}
    where {{ dim.key }} is not null
    qualify row_number() over (
        partition by {{ dim.key }} order by {{ (columns or [dim.key]) | join(', ') }}
    ) = 1
)
{%- endmacro %}
