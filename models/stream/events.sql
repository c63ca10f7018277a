{#
    Exact at any order of arrival. A build takes what was landed since the newest row of this very
    table, and writes the new rows together with the stored rows that they renumber (`renumber`);
    nothing else of the history is touched. For a stored row only the two numbering columns are
    written, the others are null here: the merge doesn't read them.

    `customer` and `ts` of an id never change, so they stand in the merge key only to let the engine
    skip history by them.
#}
{{
    config(
        incremental_strategy='merge',
        unique_key=['customer', 'ts', '_activity_id'],
        merge_update_columns=['activity_repeated_at', 'activity_occurrence'],
        cluster_by=['customer', 'ts'],
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

new_events as (

    select * from staged
    {% if is_incremental() %}
    where {{ cdesk.not_held(this, 'staged', '_activity_id', since) }}
    {% endif %}

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

final as (

    select {{ cdesk.numbered_event('new_events' if is_incremental() else 'numbered') }}
    from numbered
    {% if is_incremental() %}
    left join new_events on numbered._activity_id = new_events._activity_id
    {% endif %}

)

select * from final
{{ cdesk.in_storage_order(['ts', '_activity_id']) }}
