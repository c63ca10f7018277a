{#
    The incremental strategy of `events`: a merge that tells two kinds of stored row apart. One that
    is only renumbered brings its two numbers and nulls, so that a build never reads the details of
    history; one that was revised brings all its columns. `_query_tag` is never null in an event, so
    that it tells which of the two a row is.
#}
{% macro get_incremental_revising_merge_sql(arg_dict) -%}
    {%- set numbers = ['activity_repeated_at', 'activity_occurrence'] -%}
    {%- set columns = arg_dict.dest_columns | map(attribute='name') | map('lower') | list -%}
    {%- set key = arg_dict.unique_key -%}
    {%- set details = columns | reject('in', key + numbers + ['activity', '_landed_at']) | list %}

    merge into {{ arg_dict.target_relation }} as stored
    using {{ arg_dict.temp_relation }} as changed
        on {% for column in key -%}
            stored.{{ column }} = changed.{{ column }} {{- ' and ' if not loop.last }}
        {%- endfor %}
    when matched and changed._query_tag is not null then update set
        {%- for column in numbers + details %}
        {{ column }} = changed.{{ column }} {{- ',' if not loop.last }}
        {%- endfor %}
    when matched then update set
        {%- for column in numbers %}
        {{ column }} = changed.{{ column }} {{- ',' if not loop.last }}
        {%- endfor %}
    when not matched then insert ({{ columns | join(', ') }})
        values (changed.{{ columns | join(', changed.') }})
{%- endmacro %}
