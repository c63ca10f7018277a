{#
    For who brought them in: readers see no row of landing itself. On an account a line that a
    loader may not land for its customer is not among them: it would pass for one that is known.
#}
{{ config(materialized='view') }}

with

lines as (

    {{ cdesk.landed_lines() }}

)

select
    lines.kind,
    lines.id,
    {{ cdesk.json_string('lines.payload', 'customer') }} as customer,
    {{ cdesk.json_string('lines.payload', 'source_system') }} as source_system,
    lines.source_file,
    lines.source_offset,
    lines.landed_at,
    lines.payload as record
from lines
where
    lines.kind in ('event', 'insight', 'revision')
    and {{ cdesk.json_string('lines.payload', 'source_system') }}
    in ('claude_export', 'claude_code', 'cowork')
    and {{ cdesk.not_foreign('lines') }}
