{#
    What a context cache remembers of the newest questions, to be joined with what has landed since.
    `cached` is a CTE with the columns `context` and `_question_ids`; the ids stand beside the text,
    which doesn't show them.
#}
{% macro cached_questions(cached) -%}
    with

    parsed as (

        select
            customer,
            {{ cdesk.json_value(cdesk.parse_json('context'), 'recent_questions') }}
                as recent_questions,
            {{ cdesk.parse_json('_question_ids') }} as question_ids
        from {{ cached }}

    ),

    ids as (

        select
            customer,
            position,
            {{ cdesk.json_text('element') }} as _activity_id
        {{ cdesk.json_elements('parsed', 'question_ids') }}

    ),

    texts as (

        select
            customer,
            position,
            {{ cdesk.json_string('element', 'question') }} as question,
            {{ cdesk.try_timestamp(cdesk.json_string('element', 'ts')) }} as recorded_at
        {{ cdesk.json_elements('parsed', 'recent_questions') }}

    )

    select
        texts.customer,
        texts.question,
        texts.recorded_at,
        ids._activity_id
    from texts
    inner join ids on texts.customer = ids.customer and texts.position = ids.position
{%- endmacro %}
