{# The specification's entity table: one row a customer. #}
{% macro customer_dim(relation, columns, key='customer', prefix=none) -%}
    {% do cdesk._as_check_arguments(
        'customer_dim', ['relation', 'columns', 'key', 'prefix'],
        kwargs, varargs, [relation, columns],
    ) %}
    {{ return(cdesk.dim(relation, columns, on='customer', key=key, prefix=prefix)) }}
{%- endmacro %}
