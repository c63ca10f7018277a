{#
    What the account's meter says of this installation's two warehouses, one row an hour of the last
    32 days: `hour_at` (UTC), `credits`. Empty where the engine has no meter. The view is up to
    three hours behind.
    https://docs.snowflake.com/en/sql-reference/account-usage/warehouse_metering_history
#}
{% macro metered_credits() -%}
    {{ return(adapter.dispatch('metered_credits', 'cdesk')()) }}
{%- endmacro %}

{% macro default__metered_credits() -%}
    select
        cast(null as {{ dbt.type_timestamp() }}) as hour_at,
        cast(null as {{ dbt.type_float() }}) as credits
    where false
{%- endmacro %}

{% macro snowflake__metered_credits() -%}
    {%- set names = cdesk._snowflake_names() -%}
    select
        cast(convert_timezone('UTC', start_time) as timestamp_ntz) as hour_at,
        cast(sum(credits_used) as float) as credits
    from snowflake.account_usage.warehouse_metering_history
    where
        start_time >= dateadd(day, -32, current_timestamp())
        and warehouse_name in ('{{ names.query_warehouse }}', '{{ names.build_warehouse }}')
    group by cast(convert_timezone('UTC', start_time) as timestamp_ntz)
{%- endmacro %}
