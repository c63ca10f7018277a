{#
    A build writes the customers for whom something was landed since the newest that this table has seen, and, because counts are by UTC calendar day, once
    a day those whose counts may have moved. `updated_at` moves only with `version`, `version` only with the text.
    The newest activities and questions are those of the cached text together with what has landed since, so that no build goes back over history.
    What a refresh itself records (`bookkeeping_activities`) is left out throughout: else each refresh would be the reason for the next.
    The text is put together key by key: docs/contracts.md fixes the order of keys, which a native object would not keep.
#}
{{ config(incremental_strategy='merge', unique_key='customer') }}

{#- Not a common table expression: read in three places, it would be read once and whole. Each of these skips what its bound rules out. -#}
{%- set events = '(select * from ' ~ ref('events') ~ ' where activity not in ' ~ cdesk.bookkeeping_activities() ~ ') as events' -%}

{%- set events_since = cdesk.since(this, '_events_landed_at') if is_incremental() -%}
{%- set today = "cast(" ~ cdesk.cdesk_now() ~ " as date)" %}

with

insight_atoms as (

    select * from {{ ref('insight_atoms') }}

),

vocabulary as (

    select * from {{ ref('activity_vocabulary') }}

),

touched as (

    select customer from {{ events }}
    {% if is_incremental() %}
    where _landed_at >= {{ events_since }}
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
        and _last_event_at >= {{ dbt.dateadd('day', -30, 'cast(_as_of_day as ' ~ dbt.type_timestamp() ~ ')') }}
    {% endif %}

),

-- with a cache: what has landed since, to be joined with what the cache remembers
new_events as (

    select
        customer,
        activity,
        ts,
        _activity_id,
        _landed_at,
        case when activity = 'cdesk.user_asked' then {{ cdesk.json_string('_feature_json', 'question') }} end as question
    from {{ events }}
    {% if is_incremental() %}
    where _landed_at >= {{ events_since }}
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

    select
        cache.customer,
        cache.updated_at,
        cache.version,
        cache._last_event_at,
        cache._events_landed_at,
        {{ cdesk.json_value(cdesk.parse_json('cache.context'), 'last_activities') }} as last_activities,
        {{ cdesk.json_value(cdesk.parse_json('cache.context'), 'recent_questions') }} as recent_questions,
        {{ cdesk.parse_json('cache._question_ids') }} as question_ids
    from {{ this }} as cache
    inner join touched on cache.customer = touched.customer

),

cached_activities as (

    select
        customer,
        {{ cdesk.json_string('element', 'activity') }} as activity,
        {{ cdesk.try_timestamp(cdesk.json_string('element', 'ts')) }} as ts,
        {{ cdesk.json_string('element', 'activity_id') }} as _activity_id
    {{ cdesk.json_elements('cached', 'last_activities') }}

),

cached_question_ids as (

    select
        customer,
        position,
        {{ cdesk.json_text('element') }} as _activity_id
    {{ cdesk.json_elements('cached', 'question_ids') }}

),

cached_question_texts as (

    select
        customer,
        position,
        {{ cdesk.try_timestamp(cdesk.json_string('element', 'ts')) }} as ts,
        {{ cdesk.json_string('element', 'question') }} as question
    {{ cdesk.json_elements('cached', 'recent_questions') }}

),
{% endif %}

activity_counts as (

    select
        customer,
        activity,
        sum(case when ts >= {{ today }} then 1 else 0 end) as d1,
        sum(case when ts >= {{ dbt.dateadd('day', -6, today) }} then 1 else 0 end) as d7,
        count(*) as d30
    from {{ events }}
    where
        customer in (select touched.customer from touched)
        and ts >= {{ dbt.dateadd('day', -29, today) }}
        and ts < {{ dbt.dateadd('day', 1, today) }}
    group by customer, activity

),

counts as (

    select
        customer,
        {{ cdesk.json_object_agg('activity', cdesk.json_object([
            ['d1', 'cast(d1 as varchar)'], ['d7', 'cast(d7 as varchar)'], ['d30', 'cast(d30 as varchar)'],
        ])) }} as section
    from activity_counts
    group by customer

),

definitions as (

    select
        activity_counts.customer,
        {{ cdesk.json_object_agg('activity_counts.activity', cdesk.json_quote('vocabulary.description')) }} as section
    from activity_counts
    inner join vocabulary on activity_counts.activity = vocabulary.activity
    group by activity_counts.customer

),

activities as (

    select
        customer,
        activity,
        ts,
        _activity_id
    from new_events
    {% if is_incremental() %}
    union
    select
        customer,
        activity,
        ts,
        _activity_id
    from cached_activities
    {% endif %}

),

-- what the person did, rather than what the system recorded about its own work
newest_activities as (

    select *
    from activities
    where activity not in {{ cdesk.system_activities() }}
    qualify row_number() over (partition by customer order by ts desc, _activity_id desc) <= 20

),

last_activities as (

    select
        customer,
        {{ cdesk.json_array_agg(cdesk.json_object([
            ['activity', cdesk.json_quote('activity')],
            ['ts', cdesk.json_quote(cdesk.timestamp_text('ts'))],
            ['activity_id', cdesk.json_quote('_activity_id')],
        ]), 'ts desc, _activity_id desc') }} as section
    from newest_activities
    group by customer

),

questions as (

    select
        customer,
        ts,
        _activity_id,
        question
    from new_events
    where question is not null
    {% if is_incremental() %}
    union
    select
        cached_question_texts.customer,
        cached_question_texts.ts,
        cached_question_ids._activity_id,
        cached_question_texts.question
    from cached_question_texts
    inner join cached_question_ids
        on
            cached_question_texts.customer = cached_question_ids.customer
            and cached_question_texts.position = cached_question_ids.position
    {% endif %}

),

newest_questions as (

    select *
    from questions
    qualify row_number() over (partition by customer order by ts desc, _activity_id desc) <= 10

),

recent_questions as (

    select
        customer,
        {{ cdesk.json_array_agg(cdesk.json_object([
            ['question', cdesk.json_quote('question')],
            ['ts', cdesk.json_quote(cdesk.timestamp_text('ts'))],
        ]), 'ts desc, _activity_id desc') }} as section,
        {{ cdesk.json_array_agg(cdesk.json_quote('_activity_id'), 'ts desc, _activity_id desc') }} as question_ids
    from newest_questions
    group by customer

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

ranked_atoms as (

    select
        *,
        row_number() over (partition by customer, verified order by ts desc, insight_id desc) as position
    from customer_atoms
    qualify row_number() over (partition by customer, subject, metric, verified order by ts desc, insight_id desc) = 1

),

{%- set atom_pairs = [
    ['subject', cdesk.json_quote('subject')],
    ['metric', cdesk.json_quote('metric')],
    ['value', "coalesce(" ~ cdesk.json_compact('value') ~ ", 'null')"],
    ['ts', cdesk.json_quote(cdesk.timestamp_text('ts'))],
    ['provenance_query_hash', cdesk.json_quote('provenance_query_hash')],
    ['insight_id', cdesk.json_quote('insight_id')],
] %}

insights as (

    select
        customer,
        {{ cdesk.json_array_agg(
            cdesk.json_object(atom_pairs + [['template', cdesk.json_quote('provenance_template')]]),
            'ts desc, insight_id desc'
        ) }} as section
    from ranked_atoms
    where verified and position <= 100
    group by customer

),

unverified as (

    select
        customer,
        {{ cdesk.json_array_agg(
            cdesk.json_object(atom_pairs + [['reason', cdesk.json_quote('verification_reason')]]),
            'ts desc, insight_id desc'
        ) }} as section
    from ranked_atoms
    where not verified and position <= 50
    group by customer

),

contexts as (

    select
        touched.customer,
        {% if is_incremental() %}
        cached.updated_at as cached_updated_at,
        cached.version as cached_version,
        {{ cdesk.later('new_event_state._events_landed_at', 'cached._events_landed_at') }} as _events_landed_at,
        {{ cdesk.later('new_event_state._last_event_at', 'cached._last_event_at') }} as _last_event_at,
        {% else %}
        new_event_state._events_landed_at,
        new_event_state._last_event_at,
        {% endif %}
        insight_state._insights_landed_at,
        insight_state._provenance_landed_at,
        coalesce(recent_questions.question_ids, '[]') as _question_ids,
        {{ cdesk.json_object([
            ['customer', cdesk.json_quote('touched.customer')],
            ['insights', "coalesce(insights.section, '[]')"],
            ['unverified', "coalesce(unverified.section, '[]')"],
            ['counts', "coalesce(counts.section, '{}')"],
            ['last_activities', "coalesce(last_activities.section, '[]')"],
            ['recent_questions', "coalesce(recent_questions.section, '[]')"],
            ['definitions', "coalesce(definitions.section, '{}')"],
        ]) }} as context
    from touched
    left join new_event_state on touched.customer = new_event_state.customer
    {% if is_incremental() %}
    left join cached on touched.customer = cached.customer
    {% endif %}
    left join insight_state on touched.customer = insight_state.customer
    left join insights on touched.customer = insights.customer
    left join unverified on touched.customer = unverified.customer
    left join counts on touched.customer = counts.customer
    left join last_activities on touched.customer = last_activities.customer
    left join recent_questions on touched.customer = recent_questions.customer
    left join definitions on touched.customer = definitions.customer

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
        case when cached_version = version then cached_updated_at else {{ cdesk.cdesk_now() }} end as updated_at,
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
