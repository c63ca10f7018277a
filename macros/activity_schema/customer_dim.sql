{# The specification's entity table: one row a customer. #}
{% macro customer_dim(relation, columns, key='customer', prefix=none) -%}
    {{ return(cdesk.dim(relation, columns, on='customer', key=key, prefix=prefix)) }}
{%- endmacro %}
