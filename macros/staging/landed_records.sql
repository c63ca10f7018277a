{#
    The accepted lines of one kind, each once, with its position and `fields` to read with
    `json_field`. The join is on `landed_at` too, so that a filter on it reaches both sides and an
    incremental model reads only what is new.

    A loader may land more than one line of an id at one position and instant: a whole transaction
    twice, or lines of its own make beside ours. Those few (`copies` > 1) are judged again, and told
    apart by their text, so that every build chooses alike, and only they pay for it.
#}
{% macro landed_records(kind) -%}
    {%- set names = cdesk.record_fields() | list -%}
    {{ cdesk._landed_records(kind) }}
        and ingest_ids.copies = 1
    union all
    select
        id,
        source_file,
        source_offset,
        landed_at,
        fields
    from (
        {{ cdesk._landed_records(kind, names) }}
            and ingest_ids.copies > 1
    ) as lines
    where {{ cdesk.rejection('kind', 'id', 'payload', 'all_fields', names) }} is null
    qualify
        row_number() over (
            partition by id
            order by {{ cdesk.json_compact('payload') }}
        ) = 1
{%- endmacro %}

{# With `names` a line brings what it takes to judge it: all of `landed_lines`, and `all_fields`. #}
{% macro _landed_records(kind, names=none) -%}
    select
        {%- if names is none %}
        landing.id,
        landing.source_file,
        landing.source_offset,
        landing.landed_at,
        {%- else %}
        landing.*,
        {{ cdesk.json_fields('landing.payload', names) }} as all_fields,
        {%- endif %}
        {{ cdesk.json_fields('landing.payload', cdesk.record_fields(kind) | list) }} as fields
    {%- if names is none %}
    from {{ source('cdesk', 'landing') }} as landing
    {%- else %}
    from ({{ cdesk.landed_lines() }}) as landing
    {%- endif %}
    inner join {{ ref('_ingest_ids') }} as ingest_ids
        on
            {{ cdesk.same_line('landing', 'ingest_ids') }}
            and landing.id = ingest_ids.id
    where
        landing.kind = '{{ kind }}'
        and ingest_ids.kind = '{{ kind }}'
{%- endmacro %}
