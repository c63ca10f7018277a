{#
    The accepted lines of one kind, each once, with its position and `fields` to read with
    `json_field`. The join is on `landed_at` too, so that a filter on it reaches both sides and an
    incremental model reads only what is new.

    A loader that repeats a whole transaction may land a line twice at one position and instant.
    Those few (`copies` > 1) are told apart by their text, so that every build chooses alike, and
    only they pay for it.
#}
{% macro landed_records(kind) -%}
    {{ cdesk._landed_records(kind) }}
        and ingest_ids.copies = 1
    union all
    {{ cdesk._landed_records(kind) }}
        and ingest_ids.copies > 1
    qualify
        row_number() over (
            partition by landing.id
            order by {{ cdesk.json_compact('landing.payload') }}
        ) = 1
{%- endmacro %}

{% macro _landed_records(kind) -%}
    select
        landing.id,
        landing.source_file,
        landing.source_offset,
        landing.landed_at,
        {{ cdesk.json_fields('landing.payload', cdesk.record_fields(kind) | list) }} as fields
    from {{ source('cdesk', 'landing') }} as landing
    inner join {{ ref('_ingest_ids') }} as ingest_ids
        on
            {{ cdesk.same_line('landing', 'ingest_ids') }}
            and landing.id = ingest_ids.id
    where
        landing.kind = '{{ kind }}'
        and ingest_ids.kind = '{{ kind }}'
{%- endmacro %}
