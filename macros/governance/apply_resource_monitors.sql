{#
    Credit quotas: a daily one on the warehouse that people's queries use, a monthly one on the
    warehouse that builds, and on request one for the whole account (a warehouse has one monitor of
    its own, and the account's). Run it as ACCOUNTADMIN.

    dbt run-operation apply_resource_monitors --target snowflake --args '{daily_credits: 15,
    monthly_credits: 400, dry_run: true}'
#}
{% macro apply_resource_monitors(daily_credits=15, monthly_credits=400,
    account_monthly_credits=none, dry_run=false) -%}
    {{ return(adapter.dispatch('apply_resource_monitors', 'cdesk')(daily_credits, monthly_credits,
        account_monthly_credits, dry_run)) }}
{%- endmacro %}

{% macro default__apply_resource_monitors(daily_credits, monthly_credits, account_monthly_credits,
    dry_run) -%}
    {{ cdesk._needs_snowflake('apply_resource_monitors') }}
{%- endmacro %}

{% macro snowflake__apply_resource_monitors(daily_credits, monthly_credits, account_monthly_credits,
    dry_run) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set monitors = [
        (names.daily_monitor, daily_credits, 'daily', 'warehouse ' ~ names.query_warehouse),
        (names.monthly_monitor, monthly_credits, 'monthly', 'warehouse ' ~ names.build_warehouse),
    ] -%}
    {%- if names.query_warehouse == names.build_warehouse -%}
        {{ exceptions.raise_compiler_error("apply_resource_monitors: " ~ names.query_warehouse
            ~ " serves queries and builds, and a warehouse has one monitor; allowed: two "
            ~ "warehouses, or a monitor of the account's own") }}
    {%- endif -%}
    {%- if account_monthly_credits is not none -%}
        {%- do monitors.append((names.account_monitor, account_monthly_credits, 'monthly',
            'account')) -%}
    {%- endif -%}
    {%- set statements = [] -%}
    {%- for name, credits, frequency, guarded in monitors -%}
        {%- if credits is not number or credits is boolean or credits < 1 -%}
            {{ exceptions.raise_compiler_error("apply_resource_monitors: " ~ frequency
                ~ " credits are " ~ credits ~ "; allowed: a number of at least 1") }}
        {%- endif -%}
        {%- set terms -%}
        credit_quota = {{ credits }}
            frequency = {{ frequency }}
            start_timestamp = immediately
            triggers
                on 75 percent do notify
                on 95 percent do suspend
                on 100 percent do suspend_immediate
        {%- endset -%}
        {%- do statements.append("create resource monitor if not exists " ~ name ~ " with "
            ~ terms) -%}
        {%- do statements.append("alter resource monitor " ~ name ~ " set " ~ terms) -%}
        {%- do statements.append("alter " ~ guarded ~ " set resource_monitor = " ~ name) -%}
    {%- endfor -%}
    {{ cdesk._run_statements('apply_resource_monitors', statements, dry_run) }}
{%- endmacro %}
