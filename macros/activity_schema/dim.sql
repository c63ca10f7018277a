{#
    A dimension table to be joined to a dataset's rows, by the value of one of the dataset's output
    columns: an activity id, a feature, the customer. Where a key stands in it twice, one of its
    rows is taken, always the same: a dimension never adds a row.
#}
{% macro dim(relation, columns, on, key='id', prefix=none) -%}
    {% do cdesk._as_check_arguments(
        'dim', ['relation', 'columns', 'on', 'key', 'prefix'],
        kwargs, varargs, [relation, columns, on],
    ) %}
    {% set taken = [] %}
    {% for given in cdesk._as_columns_of('dim', columns) %}
        {% set value = {'column': given, 'as': none} if given is string else given %}
        {% set name = (prefix ~ '_' if prefix else '') ~ value.column %}
        {% do taken.append({'column': value.column, 'as': value['as'] or name}) %}
    {% endfor %}
    {{ return({'kind': 'dim', 'relation': relation, 'columns': taken, 'on': on, 'key': key}) }}
{%- endmacro %}
