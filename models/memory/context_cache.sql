{#
    A build writes the customers for whom something was landed since the newest that this table has
    seen, and, because counts are by UTC calendar day, once a day those whose counts may have moved.
    `updated_at` moves only with `version`, `version` only with the text. What a refresh itself
    records (`bookkeeping_activities`) is left out throughout: else each refresh would be the reason
    for the next.

    The newest questions are those of the cached text together with what has landed since, so that
    no build goes back over history but for a customer of whom something was deleted. The text is
    put together key by key: docs/contracts.md fixes the order of keys, which a native object would
    not keep. Each section is a macro of macros/memory.
#}
{{ config(incremental_strategy='merge', unique_key='customer') }}

{#-
    Not a common table expression: read in three places, it would be read once and whole. Each of
    these skips what its bound rules out.
-#}
{%- set events = (
    '(select * from ' ~ ref('events')
    ~ ' where activity not in ' ~ cdesk.bookkeeping_activities() ~ ') as events'
) -%}

{#- Named where a parser sees them: what reads them stands in a condition. -#}
{%- set ingest_ids, landing = ref('_ingest_ids'), source('cdesk', 'landing') -%}
{%- set events_since = cdesk.since(this, '_events_landed_at') if is_incremental() -%}
{%- set today = "cast(" ~ cdesk.cdesk_now() ~ " as date)" %}

with

insight_atoms as (

    select * from {{ ref('insight_atoms') }}

),

vocabulary as (

    select * from {{ ref('activity_vocabulary') }}

),

{% if is_incremental() %}
revisable as (

    select replaces_key
    from {{ ref('_ingest_ids') }}
    where kind = 'revision' and landed_at >= {{ events_since }}

),

revised as (

    {{ cdesk.latest_revisions('revisable') }}

),

-- as they are now: events has been built before
revised_events as (

    select events.*
    from {{ events }}
    inner join revised
        on
            {{ cdesk.is_revised_by('events', 'revised') }}

),
{% endif %}

touched as (

    select customer from {{ events }}
    {% if is_incremental() %}
    where _landed_at >= {{ events_since }}
    union
    select customer from revised_events
    {% endif %}
    union
    select customer from insight_atoms
    {% if is_incremental() %}
    where
        _landed_at >= {{ cdesk.since(this, '_insights_landed_at') }}
        or _provenance_landed_at >= {{ cdesk.since(this, '_provenance_landed_at') }}
    union
    select customer from {{ this }}
    where
        _as_of_day != {{ today }}
        and _last_event_at >= {{ dbt.dateadd(
            'day', -30, 'cast(_as_of_day as ' ~ dbt.type_timestamp() ~ ')'
        ) }}
    {% endif %}

),

-- with a cache: what has landed since, to be joined with what the cache remembers
new_events as (

    select
        customer,
        activity,
        ts,
        {{ cdesk.recorded_at() }} as recorded_at,
        _activity_id,
        _landed_at,
        case
            when activity = 'cdesk.user_asked'
                then {{ cdesk.json_string('_feature_json', 'question') }}
        end as question
    {% if is_incremental() %}
    from (
        select * from {{ events }}
        where _landed_at >= {{ events_since }}
        union all
        select * from revised_events
    ) as events
    {% else %}
    from {{ events }}
    {% endif %}

),

new_event_state as (

    select
        customer,
        max(ts) as _last_event_at,
        max(_landed_at) as _events_landed_at
    from new_events
    group by customer

),

{% if is_incremental() %}
cached as (

    select cache.*
    from {{ this }} as cache
    inner join touched on cache.customer = touched.customer

),

cached_questions as (

    {{ cdesk.cached_questions('cached') | indent }}

),

-- of whom activities have been deleted since, by retention or because they are forgotten
deleted_from as (

    select customer
    from cached
    where _as_of_day = {{ cdesk.retention_mark() }}

),

-- all of theirs: one that others had pushed out may be among the newest again; by itself, so that
-- whether a question is null is not asked of all there are where nothing was deleted
questions_kept as {{ cdesk.materialized() }} (

    select
        events.customer,
        {{ cdesk.json_string('events._feature_json', 'question') }} as question,
        {{ cdesk.recorded_at('events') }} as recorded_at,
        events._activity_id
    from {{ events }}
    inner join deleted_from on events.customer = deleted_from.customer
    where events.activity = 'cdesk.user_asked'

),
{% endif %}

questions as (

    select
        customer,
        question,
        recorded_at,
        _activity_id
    from new_events
    where question is not null
    {% if is_incremental() %}
    union
    select
        customer,
        question,
        recorded_at,
        _activity_id
    from cached_questions
    where not exists (
        select 1
        from new_events
        where new_events._activity_id = cached_questions._activity_id
    )
    and cached_questions.customer not in (select customer from deleted_from)
    union
    select
        customer,
        question,
        recorded_at,
        _activity_id
    from questions_kept
    where question is not null
    {% endif %}

),

customer_atoms as (

    select insight_atoms.*
    from insight_atoms
    inner join touched on insight_atoms.customer = touched.customer

),

insight_state as (

    select
        customer,
        max(_landed_at) as _insights_landed_at,
        max(_provenance_landed_at) as _provenance_landed_at
    from customer_atoms
    group by customer

),

insights as (

    {{ cdesk.context_insights('customer_atoms') | indent }}

),

counts as (

    {{ cdesk.context_counts(events, 'touched', 'vocabulary', today) | indent }}

),

recent_questions as (

    {{ cdesk.context_questions('questions') | indent }}

),

contexts as (

    select
        touched.customer,
        {% if is_incremental() %}
        cached.updated_at as cached_updated_at,
        cached.version as cached_version,
        {{ cdesk.later('new_event_state._events_landed_at', 'cached._events_landed_at') }}
            as _events_landed_at,
        {{ cdesk.later('new_event_state._last_event_at', 'cached._last_event_at') }}
            as _last_event_at,
        {% else %}
        new_event_state._events_landed_at,
        new_event_state._last_event_at,
        {% endif %}
        insight_state._insights_landed_at,
        insight_state._provenance_landed_at,
        coalesce(recent_questions.question_ids, '[]') as _question_ids,
        {{ cdesk.json_object([
            ['customer', cdesk.json_quote('touched.customer')],
            ['insights', "coalesce(insights.insights, '[]')"],
            ['unverified', "coalesce(insights.unverified, '[]')"],
            ['counts', "coalesce(counts.counts, '{}')"],
            ['recent_questions', "coalesce(recent_questions.recent_questions, '[]')"],
            ['definitions', "coalesce(counts.definitions, '{}')"],
        ]) }} as context
    from touched
    left join new_event_state on touched.customer = new_event_state.customer
    {% if is_incremental() %}
    left join cached on touched.customer = cached.customer
    {% endif %}
    left join insight_state on touched.customer = insight_state.customer
    left join insights on touched.customer = insights.customer
    left join counts on touched.customer = counts.customer
    left join recent_questions on touched.customer = recent_questions.customer

),

versioned as (

    select
        *,
        left({{ cdesk.hash_text('context') }}, 16) as version
    from contexts

),

final as (

    select
        customer,
        context,
        {% if is_incremental() %}
        case
            when cached_version = version then cached_updated_at else {{ cdesk.cdesk_now() }}
        end as updated_at,
        {% else %}
        {{ cdesk.cdesk_now() }} as updated_at,
        {% endif %}
        version,
        {{ today }} as _as_of_day,
        _question_ids,
        _last_event_at,
        _events_landed_at,
        _insights_landed_at,
        _provenance_landed_at
    from versioned

)

select * from final
