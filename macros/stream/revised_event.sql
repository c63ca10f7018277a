{#
    The columns of an activity, unnumbered, for rows of `rows` that were left-joined to `revised`
    (what `latest_revisions` gave): as the revision has them where there is one. With `every`, the
    join was an inner one, and of `rows` only what a revision never changes is read.
#}
{% macro revised_event(rows, every=false) -%}
    {%- set fixed = ['activity', 'customer', 'ts', '_activity_id', '_landed_at'] -%}
    {%- set columns = [] -%}
    {%- for column, source in cdesk.event_columns().items() if source.from != 'numbering' -%}
        {%- if column in fixed -%}
            {%- do columns.append(rows ~ '.' ~ column) -%}
        {%- elif every -%}
            {%- do columns.append('revised.' ~ column) -%}
        {%- else -%}
            {%- do columns.append(
                'case when revised._activity_id is not null then revised.' ~ column
                ~ ' else ' ~ rows ~ '.' ~ column ~ ' end as ' ~ column
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ columns | join(',\n') }}
{%- endmacro %}
