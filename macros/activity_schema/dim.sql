{#
    A dimension table to be joined to a dataset's rows, by the value of one of the dataset's output columns: an activity id, a feature, the customer.
    Where a key stands in it twice, one of its rows is taken, always the same: a dimension never adds a row.
#}
{% macro dim(relation, columns, on, key='id', prefix=none) -%}
    {% if columns is string or columns is mapping or columns is not sequence or not columns %}
        {% do cdesk._as_raise('dim', 'columns', columns, 'a list of column names or cdesk.column(…)') %}
    {% endif %}
    {% set taken = [] %}
    {% for given in columns %}
        {% set value = {'column': given, 'as': none} if given is string else given %}
        {% do taken.append({'column': value.column, 'as': value['as'] or (prefix ~ '_' if prefix else '') ~ value.column}) %}
    {% endfor %}
    {{ return({'kind': 'dim', 'relation': relation, 'columns': taken, 'on': on, 'key': key}) }}
{%- endmacro %}

{# The specification's entity table: one row a customer. #}
{% macro customer_dim(relation, columns, key='customer', prefix=none) -%}
    {{ return(cdesk.dim(relation, columns, on='customer', key=key, prefix=prefix)) }}
{%- endmacro %}

{% macro _as_check_dim(dim, outputs) -%}
    {% if dim is not mapping or dim.kind != 'dim' %}
        {% do cdesk._as_raise('dataset', 'dims', dim, 'a list of cdesk.dim(…) and cdesk.customer_dim(…)') %}
    {% endif %}
    {% do cdesk._as_check_one_of('dim', 'on', dim.on, outputs) %}
    {{ return(dim.columns | map(attribute='as') | list) }}
{%- endmacro %}

{% macro _as_dim_cte(dim, name) -%}
{%- set columns = dim.columns | map(attribute='column') | unique | reject('equalto', dim.key) | list -%}
{{ name }} as (
    select
        {{ ([dim.key] + columns) | join(',\n        ') }}
    from {{ dim.relation }}
    where {{ dim.key }} is not null
    qualify row_number() over (partition by {{ dim.key }} order by {{ (columns or [dim.key]) | join(', ') }}) = 1
)
{%- endmacro %}
