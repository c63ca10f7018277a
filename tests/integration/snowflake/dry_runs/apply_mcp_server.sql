create or replace function CLAUDE_LOGS.ACTIVITIES.ask_activity_counts(given_customer varchar, given_days_back number default 30, given_limit number default 50)
    returns table (answer variant)
    language sql
    comment = 'How often you did what, most often first, with the first and last time.'
as
$$
select to_variant(object_construct_keep_null(*)) as answer
from (
with

activities as (

    select
        activity,
        count(*) as activity_count,
        min(least(ts, _landed_at)) as first_at,
        max(least(ts, _landed_at)) as last_at,
        case
        when
            coalesce(min(
                case
                    when
                        _source_system = 'claude_desktop'
                        and activity in (
        'cdesk.session_started', 'cdesk.session_ended', 'cdesk.tool_called', 'cdesk.sql_executed',
        'cdesk.sql_completed', 'cdesk.artifact_created', 'cdesk.card_ready',
        'cdesk.insight_recorded', 'cdesk.insight_forgotten', 'cdesk.context_refreshed'
    )
                        then 1
                    else 0
                end
            ), 1) = 1
            then 'system'
        else 'reported'
    end as basis
    from CLAUDE_LOGS.ACTIVITIES.events_live
    where
        customer = given_customer
        and ts >= 

    dateadd(
        day,
        -1 * cast(given_days_back as integer),
        sysdate()
        )


    group by activity

)

select * from activities
qualify row_number() over (order by activity_count desc, activity) <= cast(given_limit as integer)
    order by activity_count desc, activity
)
$$;

grant usage on function CLAUDE_LOGS.ACTIVITIES.ask_activity_counts(varchar, number, number) to role CDESK_READER;

create or replace function CLAUDE_LOGS.ACTIVITIES.ask_insights(given_customer varchar, given_subject varchar default null, given_metric varchar default null, given_limit number default 50)
    returns table (answer variant)
    language sql
    comment = 'What was learned, the current insight of each subject and metric with what proves it, verified ones first; of one subject or metric alone where they are given.'
as
$$
select to_variant(object_construct_keep_null(*)) as answer
from (
with

insights as (

    select
        insight_id,
        ts,
        recorded_at,
        subject,
        metric,
        value,
        verified,
        verification_reason,
        basis,
        provenance_query_hash,
        provenance_template,
        provenance_column
    from CLAUDE_LOGS.ACTIVITIES.insight_atoms
    where
        customer = given_customer
        and is_current
        and (cast(given_subject as varchar) is null or subject = cast(given_subject as varchar))
        and (cast(given_metric as varchar) is null or metric = cast(given_metric as varchar))

)

select * from insights
qualify row_number() over (order by verified desc, recorded_at desc, insight_id desc) <= cast(given_limit as integer)
    order by verified desc, recorded_at desc, insight_id desc
)
$$;

grant usage on function CLAUDE_LOGS.ACTIVITIES.ask_insights(varchar, varchar, varchar, number) to role CDESK_READER;

create or replace mcp server CLAUDE_LOGS.ACTIVITIES.claude_questions from specification $$
tools:
- name: activity_counts
  title: Activity counts
  type: GENERIC
  identifier: CLAUDE_LOGS.ACTIVITIES.ASK_ACTIVITY_COUNTS
  description: How often you did what, most often first, with the first and last time.
  config:
    type: function
    warehouse: CDESK_WH
    input_schema:
      type: object
      properties:
        given_customer:
          type: string
          description: Whose rows; of another than you may see there are none.
        given_days_back:
          type: integer
          description: How many days to look back.
          minimum: 1
          maximum: 3660
          default: 30
        given_limit:
          type: integer
          description: At most so many rows.
          minimum: 1
          maximum: 1000
          default: 50
      required:
      - given_customer
- name: insights
  title: Insights
  type: GENERIC
  identifier: CLAUDE_LOGS.ACTIVITIES.ASK_INSIGHTS
  description: What was learned, the current insight of each subject and metric with
    what proves it, verified ones first; of one subject or metric alone where they
    are given.
  config:
    type: function
    warehouse: CDESK_WH
    input_schema:
      type: object
      properties:
        given_customer:
          type: string
          description: Whose rows; of another than you may see there are none.
        given_subject:
          type: string
          description: Only this subject, as it was recorded.
        given_metric:
          type: string
          description: Only this metric, as it was recorded.
        given_limit:
          type: integer
          description: At most so many rows.
          minimum: 1
          maximum: 1000
          default: 50
      required:
      - given_customer
$$;

grant usage on mcp server CLAUDE_LOGS.ACTIVITIES.claude_questions to role CDESK_READER;

