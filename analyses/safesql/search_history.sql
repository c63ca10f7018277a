{%- set words = range(1, 9) -%}
with

wanted as (

    select lower(trim({{ cdesk.bind_as('text', 'varchar') }})) as phrase

),

words as (

    select
        {% for n in words %}
        split_part(phrase, ' ', {{ n }}) as word_{{ n }},
        {% endfor %}
        phrase
    from wanted
    where phrase != ''

),

said as (

    select
        events.ts,
        events._session_id as session_id,
        {{ cdesk.json_string('events._feature_json', 'project') }} as project,
        case events.activity
            when 'cdesk.user_asked' then 'person'
            when 'cdesk.claude_responded' then 'claude'
            else 'title'
        end as who,
        case events.activity
            when 'cdesk.user_asked'
                then {{ cdesk.json_string('events._feature_json', 'question') }}
            when 'cdesk.claude_responded'
                then coalesce(
                    {{ cdesk.json_string('events._feature_json', 'response') }},
                    {{ cdesk.json_string('events._feature_json', 'summary') }}
                )
            else {{ cdesk.json_string('events._feature_json', 'title') }}
        end as body
    from {{ ref('events_live') }} as events
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity in (
            'cdesk.user_asked', 'cdesk.claude_responded', 'cdesk.session_started'
        )
        and events.ts >= {{ cdesk.time_back('day', 'days_back') }}

),

texts as (

    select
        *,
        lower(body) as lowered
    from said
    where body is not null

),

matched as (

    select
        texts.ts,
        texts.session_id,
        texts.project,
        texts.who,
        texts.body,
        coalesce(
            nullif(position(words.phrase in texts.lowered), 0),
            {% for n in words %}
            nullif(
                case
                    when words.word_{{ n }} = '' then 0
                    else position(words.word_{{ n }} in texts.lowered)
                end, 0
            ),
            {% endfor %}
            1
        ) as found_at,
        case when contains(texts.lowered, words.phrase) then 1 else 0 end as is_phrase,
        {% for n in words %}
        case
            when words.word_{{ n }} = '' then 0
            when contains(texts.lowered, words.word_{{ n }}) then 1
            else 0
        end
        + {% endfor %} 0 as matched_words
    from texts
    cross join words

),

hits as (

    select
        ts,
        session_id,
        project,
        who,
        matched_words,
        is_phrase,
        case when found_at > 61 then '…' else '' end
        || substr(body, case when found_at > 61 then found_at - 60 else 1 end, 240) as snippet
    from matched
    where matched_words > 0

)

select
    ts,
    session_id,
    project,
    who,
    matched_words,
    snippet
from hits
{{ cdesk.first_rows('is_phrase desc, matched_words desc, ts desc, session_id, who, snippet') }}
