{#
    The model `cdesk_stitched_stream`, as a stream. Its columns have the specification's names,
    and those under which the default stream declares further ones.
#}
{% macro stitched_stream() -%}
    {% do cdesk._as_check_arguments('stitched_stream', [], kwargs, varargs) %}
    {% set columns = {} %}
    {% for name, found in cdesk.default_stream().columns.items() %}
        {% set numbered = name in ['activity_occurrence', 'activity_repeated_at'] %}
        {% set column = name if found.column and not numbered else none %}
        {% do columns.update({name: {'column': column, 'type': found.type}}) %}
    {% endfor %}
    {{ return(cdesk.stream(ref('cdesk', 'cdesk_stitched_stream'), columns)) }}
{%- endmacro %}
