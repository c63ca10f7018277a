with

records as (

    {{ cdesk.landed_records('event') }}

),

typed as (

    select
        {{ cdesk.recorded_event() }},
        source_file as _source_file,
        source_offset as _source_offset
    from records

)

select * from typed
