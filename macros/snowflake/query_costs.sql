{#
    What the warehouse says of our queries, one row per query tag: `query_tag, warehouse_seconds,
    bytes_scanned, credits`. Empty where the engine keeps no such record. Snowflake's own views lag:
    QUERY_HISTORY up to 45 minutes, the attribution of credits up to 8 hours; until then the values
    are null. Of the last 32 days, so that what is read doesn't grow with the account's history.
    https://docs.snowflake.com/en/sql-reference/account-usage/query_attribution_history
#}
{% macro query_costs() -%}
    {{ return(adapter.dispatch('query_costs', 'cdesk')()) }}
{%- endmacro %}

{% macro default__query_costs() -%}
    select
        cast(null as {{ dbt.type_string() }}) as query_tag,
        cast(null as {{ dbt.type_float() }}) as warehouse_seconds,
        cast(null as {{ dbt.type_bigint() }}) as bytes_scanned,
        cast(null as {{ dbt.type_float() }}) as credits
    where false
{%- endmacro %}

{% macro snowflake__query_costs() -%}
    select
        history.query_tag,
        cast(sum(history.total_elapsed_time) / 1000 as float) as warehouse_seconds,
        sum(history.bytes_scanned) as bytes_scanned,
        cast(
            sum(
                coalesce(history.credits_used_cloud_services, 0)
                + coalesce(attribution.credits_attributed_compute, 0)
            ) as float
        ) as credits
    from snowflake.account_usage.query_history as history
    left join snowflake.account_usage.query_attribution_history as attribution
        on
            history.query_id = attribution.query_id
            and attribution.start_time >= dateadd(day, -32, current_timestamp())
    where
        history.start_time >= dateadd(day, -32, current_timestamp())
        and {{ cdesk.matches('history.query_tag', 'cdesk_[0-9a-f]{8}') }}
    group by history.query_tag
{%- endmacro %}
