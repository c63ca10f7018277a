with

quarantined as (

    select
        quarantine_id,
        record_id,
        kind,
        reason,
        detail,
        raw,
        source_file,
        source_offset,
        landed_at
    from {{ ref('quarantined_events') }}
    where
        ({{ cdesk.bind_as('quarantine_id', 'varchar') }} is null or quarantine_id = {{ cdesk.bind_as('quarantine_id', 'varchar') }})
        and ({{ cdesk.bind_as('reason', 'varchar') }} is null or reason = {{ cdesk.bind_as('reason', 'varchar') }})

)

select * from quarantined
{{ cdesk.first_rows('landed_at desc, source_file desc, source_offset desc, quarantine_id desc') }}
