{#
    What was learnt last of each event that `ids` names (a CTE with the column `replaces_key`): one
    row an activity, with the columns of `events` as the revision has them. The highest number
    counts, of equals the greater id, so that the order of arrival has no say.

    Chosen within id, customer, activity, ts and source, and to be joined on all of them
    (`is_revised_by`): a revision changes what is known of an activity, never whose or when it was.
    One that says otherwise stands in nobody's way and has no effect, nor has one whose event is not
    there yet.

    since: no line of a revision is older; given where a view looks into landing (oldest_revision).
#}
{% macro latest_revisions(ids, since=none) -%}
    with

    places as (

        select ingest_ids.*
        from {{ ref('_ingest_ids') }} as ingest_ids
        inner join (select distinct replaces_key from {{ ids }}) as named
            on ingest_ids.replaces_key = named.replaces_key
        where ingest_ids.kind = 'revision'

    ),

    lines as (

        select
            landing.*,
            {{ cdesk.json_fields('landing.payload', cdesk.record_fields('revision') | list) }}
                as fields
        from {{ source('cdesk', 'landing') }} as landing
        inner join places
            on
                {{ cdesk.same_line('landing', 'places') }}
                and landing.id = places.id
        where
            landing.kind = 'revision'
            {%- if since %}
            and landing.landed_at >= {{ since }}
            {%- endif %}
        qualify
            row_number() over (
                partition by landing.id
                order by {{ cdesk.json_compact('landing.payload') }}
            ) = 1

    ),

    typed as (

        select
            {{ cdesk.recorded_revision() }}
        from lines

    )

    select *
    from typed
    qualify {{ cdesk.latest_revision() }}
{%- endmacro %}
