{#
    The caller's rows of one activity that meet `condition`, as histories say them. What Claude
    logged itself by `log_event` is left out where a history has that call: it is the same activity,
    told twice.
#}
{% macro usage_events(activity, condition) -%}
    select events.*
    from {{ ref('events_live') }} as events
    where
        events.customer = {{ cdesk.bind('customer') }}
        and events.activity = 'cdesk.{{ activity }}'
        and {{ condition }}
        and not (
            events._source_system = 'claude_desktop'
            and events._activity_id in (
                select {{ cdesk.json_string('calls._feature_json', 'logged_activity_id') }}
                from {{ ref('events_live') }} as calls
                where
                    calls.customer = {{ cdesk.bind('customer') }}
                    and calls.activity = 'cdesk.tool_called'
                    and calls._source_system in ('claude_code', 'cowork')
                    and {{ cdesk.json_string('calls._feature_json', 'tool') }} = 'log_event'
                    and {{ cdesk.json_string('calls._feature_json', 'logged_activity_id') }}
                        is not null
            )
        )
{%- endmacro %}
