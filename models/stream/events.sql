{#
    Exact at any order of arrival. A build takes what was landed since the newest row of this very
    table, and writes the new rows together with the stored rows that they renumber (`renumber`) or
    that were revised (`latest_revisions`); nothing else of the history is touched. For a stored row
    that is only renumbered the columns but the two numbers are null here: the merge doesn't read
    them. A revision keeps the row's id, ts, customer, activity and number.

    `customer` and `ts` of an id never change, so they stand in the merge key only to let the engine
    skip history by them.
#}
{{
    config(
        incremental_strategy='revising_merge',
        unique_key=['customer', 'ts', '_activity_id'],
        cluster_by=['customer', 'ts'],
        post_hook="{{ cdesk.note_build_marks('_landed_at') }}",
    )
}}

{%- set since = cdesk.since(this) if is_incremental() %}

with

staged as (

    select * from {{ ref('stg_events') }}
    {% if is_incremental() %}
    where _landed_at >= {{ since }}
    {% endif %}

),

added as (

    select * from staged
    {% if is_incremental() %}
    where {{ cdesk.not_held(this, 'staged', '_activity_id', since) }}
    {% endif %}

),

revisable as (

    select {{ cdesk.compact_key('_activity_id') }} as replaces_key
    from added
    {% if is_incremental() %}
    union all
    select replaces_key
    from {{ ref('_ingest_ids') }}
    where kind = 'revision' and landed_at >= {{ since }}
    {% endif %}

),

revised as (

    {{ cdesk.latest_revisions('revisable') }}

),

new_events as (

    select
        {{ cdesk.revised_event('added') }}
    from added
    left join revised
        on
            {{ cdesk.is_revised_by('added', 'revised') }}

),

numbered as (

    {% if is_incremental() %}
    {{ cdesk.renumber(this, 'new_events') }}
    {% else %}
    select
        *,
        lead(ts) over (
            partition by customer, activity order by ts, _activity_id
        ) as activity_repeated_at,
        row_number() over (
            partition by customer, activity order by ts, _activity_id
        ) as activity_occurrence
    from new_events
    {% endif %}

),
{% if is_incremental() %}

changed as (

    {{ cdesk.changed_events(this) }}

),

detailed as (

    select * from new_events
    union all
    select
        {{ cdesk.revised_event('stored', every=true) }}
    from {{ this }} as stored
    inner join revised
        on
            {{ cdesk.is_revised_by('stored', 'revised') }}

),
{% endif %}

final as (

    {% if is_incremental() %}
    select {{ cdesk.numbered_event('detailed', numbered='changed') }}
    from changed
    left join detailed on changed._activity_id = detailed._activity_id
    {% else %}
    select {{ cdesk.numbered_event('numbered') }}
    from numbered
    {% endif %}

)

select * from final
{{ cdesk.in_storage_order(['ts', '_activity_id']) }}
