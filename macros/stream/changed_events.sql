{#
    What a batch changes, one row per activity: those that the CTE `numbered` renumbered or added,
    and the `stored` ones that the CTE `revised` says more about, with the numbers that they have.
#}
{% macro changed_events(stored) -%}
    select
        customer,
        activity,
        ts,
        _activity_id,
        is_new,
        activity_repeated_at,
        activity_occurrence
    from numbered
    union all
    select
        stored.customer,
        stored.activity,
        stored.ts,
        stored._activity_id,
        false as is_new,
        stored.activity_repeated_at,
        stored.activity_occurrence
    from {{ stored }} as stored
    inner join revised
        on
            {{ cdesk.is_revised_by('stored', 'revised') }}
    where not exists (
        select 1
        from numbered
        where
            {{ cdesk.same_activity('numbered', 'stored') }}
    )
{%- endmacro %}
