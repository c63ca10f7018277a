{#
    Each with its whole payload: what an import compares with before it writes a record again, where
    its own notes are lost. By
    kind, so that a revision comes behind the event that it is about.
#}
with

imported as (

    select
        kind,
        id,
        source_file,
        source_offset,
        landed_at,
        payload
    from {{ source('cdesk', 'landing') }}
    where
        kind in ('event', 'insight', 'revision')
        and {{ cdesk.json_string('payload', 'source_system') }}
        in ('claude_export', 'claude_code', 'cowork')
        and {{ cdesk.json_string('payload', 'customer') }} = {{ cdesk.bind('customer') }}

)

select * from imported
order by kind, landed_at, source_file, source_offset
