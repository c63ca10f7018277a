{#
    The newest questions of a context, one row per customer: `recent_questions`, and `question_ids`
    in the same order. `questions` is a CTE of (customer, question, recorded_at, _activity_id).
#}
{% macro context_questions(questions) -%}
    {%- set order = 'recorded_at desc, _activity_id desc' -%}
    with

    newest as (

        select *
        from {{ questions }}
        qualify row_number() over (partition by customer order by {{ order }}) <= 10

    )

    select
        customer,
        {{ cdesk.json_array_agg(cdesk.json_object([
            ['question', cdesk.json_quote('question')],
            ['ts', cdesk.json_quote(cdesk.timestamp_text('recorded_at'))],
        ]), order) }} as recent_questions,
        {{ cdesk.json_array_agg(cdesk.json_quote('_activity_id'), order) }} as question_ids
    from newest
    group by customer
{%- endmacro %}
