use role CDESK_TRANSFORMER;

create or replace semantic view CLAUDE_LOGS.ACTIVITIES.claude_activity
    tables (
        activities as CLAUDE_LOGS.ACTIVITIES.events primary key (_activity_id),
        model_calls as CLAUDE_LOGS.ACTIVITIES.vw_llm_events primary key (activity_id),
        insights as CLAUDE_LOGS.ACTIVITIES.insight_atoms primary key (insight_id)
    )
    dimensions (
        activities.activity as activity comment = 'What happened: a name as `cdesk.user_asked`. `activity_vocabulary` lists those that the system itself uses.',
        activities.customer as customer comment = 'Who did it: the identity that the server knows the caller by, never an argument of a call.',
        activities.ts as ts comment = 'When it happened: UTC, without zone, microseconds.',
        activities.activity_occurrence as activity_occurrence comment = 'How many times the customer had done this activity, this time included, by (ts, _activity_id).',
        activities._session_id as _session_id comment = 'The Claude Desktop session, or null.',
        activities._source_system as _source_system comment = 'What the record came from: `claude_desktop`.',
        model_calls.activity as activity comment = 'What happened: a name as `cdesk.user_asked`. `activity_vocabulary` lists those that the system itself uses.',
        model_calls.model as model comment = 'Which model.',
        model_calls.customer as customer comment = 'Who did it: the identity that the server knows the caller by, never an argument of a call.',
        model_calls.ts as ts comment = 'When it happened: UTC, without zone, microseconds.',
        model_calls.session_id as session_id comment = 'The Claude Desktop session, or null.',
        insights.subject as case when not is_forgotten then subject end comment = 'What the insight is about.',
        insights.metric as case when not is_forgotten then metric end comment = 'Which property of the subject.',
        insights.customer as customer comment = 'Who did it: the identity that the server knows the caller by, never an argument of a call.',
        insights.ts as case when not is_forgotten then ts end comment = 'When it happened: UTC, without zone, microseconds.',
        insights.verified as case when not is_forgotten then verified end comment = 'Whether `provenance_query_hash` is a query that succeeded for this customer and one of its evidence columns holds the value. Numbers without a fraction, text (as it was shown) and booleans are equal; two numbers with a fraction within 1e-9 of the larger.',
        insights.is_current as is_current comment = 'Whether it is the one to go by for its customer, subject and metric; the latest verified one by (recorded_at, insight_id), or the latest where none is verified.'
    )
    metrics (
        activities.activity_count as count(_activity_id) comment = 'How many activities.',
        activities.customer_count as count(distinct customer) comment = 'How many customers.',
        activities.session_count as count(distinct _session_id) comment = 'How many conversations.',
        model_calls.input_token_count as sum(input_tokens) comment = 'Tokens that went in.',
        model_calls.output_token_count as sum(output_tokens) comment = 'Tokens that came out.',
        model_calls.average_latency_ms as avg(latency_ms) comment = 'Milliseconds to an answer, on average.',
        insights.insight_count as count_if(not is_forgotten) comment = 'How many insights.',
        insights.verified_count as count_if(verified and not is_forgotten) comment = 'How many of them a query of this system proves.'
    )
    comment = 'What people do with Claude, what it costs, and what was learned'
    ai_verified_queries (
        activity_counts as (
            question 'Which activities happen most often?'
            sql 'select activity, count(_activity_id) as activity_count from activities group by activity order by activity_count desc, activity'
        ),
        insights as (
            question 'What do we know of each subject, and what of it is proven?'
            sql 'select subject, metric, ts, verified from insights where is_current order by verified desc, ts desc'
        ),
        llm_usage as (
            question 'How many tokens does each model use a day?'
            sql 'select date_trunc(''day'', ts) as period_start, coalesce(model, ''unknown'') as model, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens from model_calls where activity in (''cdesk.claude_responded'', ''cdesk.llm_called'') group by 1, 2 order by period_start desc, model'
        )
    );

use role CDESK_ADMIN;

grant select on semantic view CLAUDE_LOGS.ACTIVITIES.claude_activity to role CDESK_READER;

