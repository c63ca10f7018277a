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
        {{ cdesk.equals_if_given('quarantine_id', 'quarantine_id') }}
        and {{ cdesk.equals_if_given('reason', 'reason') }}

)

select * from quarantined
{{ cdesk.first_rows('landed_at desc, source_file desc, source_offset desc, quarantine_id desc') }}
