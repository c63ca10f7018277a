{#
    Occurrence numbers and next instants of `new_events`, and of those `stored` rows that they
    change; `stored` is a relation with the columns of `events`, `new_events` a CTE that holds none
    of its rows. One row per changed or new activity.

    The stored rows of a touched (customer, activity) that can change are those whose next instant
    is not before the first new one (or that have none): the row just before the first new one, and
    all from there on. They are a tail of the group's order, so the tail's smallest stored number
    says how many rows stand before it.

    `customer` and `id` name the columns that a foreign stream has in place of ours.
#}
{% macro renumber(stored, new_events, customer='customer', id='_activity_id') -%}
    with

    touched as (

        select
            {{ customer }},
            activity,
            min(ts) as first_ts
        from {{ new_events }}
        group by {{ customer }}, activity

    ),

    {#- Two reads and not one with `or`: each skips the blocks of history that hold no such row. #}
    tails as (

        {%- for condition in ['>= touched.first_ts', 'is null'] %}
        select
            stored.{{ customer }},
            stored.activity,
            stored.ts,
            stored.{{ id }},
            stored.activity_occurrence
        from {{ stored }} as stored
        inner join touched
            on
                stored.{{ customer }} = touched.{{ customer }}
                and stored.activity = touched.activity
        where stored.activity_repeated_at {{ condition }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}

    ),

    moving as (

        select
            {{ customer }},
            activity,
            ts,
            {{ id }},
            activity_occurrence
        from tails
        union all
        select
            {{ customer }},
            activity,
            ts,
            {{ id }},
            cast(null as bigint) as activity_occurrence
        from {{ new_events }}

    )

    select
        {{ customer }},
        activity,
        ts,
        {{ id }},
        activity_occurrence is null as is_new,
        lead(ts) over (
            partition by {{ customer }}, activity order by ts, {{ id }}
        ) as activity_repeated_at,
        coalesce(min(activity_occurrence) over (partition by {{ customer }}, activity) - 1, 0)
        + row_number() over (
            partition by {{ customer }}, activity order by ts, {{ id }}
        ) as activity_occurrence
    from moving
{%- endmacro %}
