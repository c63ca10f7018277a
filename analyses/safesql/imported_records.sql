{#
    Each as it came: what an import compares with before it writes a record again, where its own
    notes are lost. On Snowflake a reader gets them redacted, and compares accordingly. By kind, so
    that a revision comes behind the event that it is about.
#}
with

imported as (

    select
        kind,
        id,
        source_file,
        source_offset,
        landed_at,
        record as payload
    from {{ ref('landed_imports') }}
    where customer = {{ cdesk.bind('customer') }}

)

select * from imported
order by kind, landed_at, source_file, source_offset
