{#
    Builds inside Snowflake when something has landed: a stream on landing, and a task that it
    triggers, which runs this project as a dbt project object (`snow dbt deploy`). Suspended before
    it is changed and resumed after. `suspend: true` only suspends. Run it as the transformer role.

    dbt run-operation apply_streams_tasks --target snowflake --args '{dry_run: true}'
#}
{% macro apply_streams_tasks(every_seconds=60, suspend=false, dry_run=false) -%}
    {{ return(adapter.dispatch('apply_streams_tasks', 'cdesk')(every_seconds, suspend, dry_run)) }}
{%- endmacro %}

{% macro default__apply_streams_tasks(every_seconds, suspend, dry_run) -%}
    {{ cdesk._needs_snowflake('apply_streams_tasks') }}
{%- endmacro %}

{#
    The stream is read (and so emptied) before the build: a line that lands during the build
    triggers the next one. A build that failed is tried once more at once, and made up for by the
    next arrival after that, since models go by what they hold. An existing stream is kept: a new
    one would forget what it has seen. https://docs.snowflake.com/en/user-guide/tasks-triggered
#}
{% macro snowflake__apply_streams_tasks(every_seconds, suspend, dry_run) -%}
    {%- if every_seconds is not integer or not 10 <= every_seconds <= 604800 -%}
        {{ exceptions.raise_compiler_error(
            "apply_streams_tasks: every_seconds is " ~ every_seconds ~ "; allowed: 10 to 604800") }}
    {%- endif -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set statements = [] -%}
    {%- for task in [names.task, names.daily_task] -%}
        {%- do statements.append("alter task if exists " ~ task ~ " suspend") -%}
    {%- endfor -%}
    {%- if not suspend -%}
        {%- do statements.extend([
            cdesk._landing_stream_sql(cdesk._stream_is_stale(names.stream, dry_run)),
            cdesk._build_task_sql(every_seconds) | trim,
            cdesk._daily_task_sql() | trim,
            "alter task " ~ names.task ~ " resume",
            "alter task " ~ names.daily_task ~ " resume",
        ]) -%}
    {%- endif -%}
    {{ cdesk._needs_setup(dry_run) }}
    {{ cdesk._run_statements('apply_streams_tasks', statements, dry_run) }}
{%- endmacro %}

{#
    The tables, and the one view that knows how far they are. Other views, seeds and tests only
    change with the project, and wait for the night.
#}
{% macro _build_task_sql(every_seconds) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set build = "execute dbt project " ~ names.project
        ~ " args = 'run --selector refresh_live --target snowflake'" %}
    create or replace task {{ names.task }}
        warehouse = {{ names.build_warehouse }}
        user_task_minimum_trigger_interval_in_seconds = {{ every_seconds }}
        user_task_timeout_ms = 1800000
        suspend_task_after_num_failures = 10
        when system$stream_has_data('{{ names.stream }}')
    as
    execute immediate $$
    begin
        insert into {{ names.steps }} (step) select id from {{ names.stream }} where 1 = 0;
        {{ build }};
    exception
        when other then
            {{ build }};
    end
    $$
{%- endmacro %}

{# Everything, with the data tests, which read the account's views as well: once a day. #}
{% macro _daily_task_sql() -%}
    {%- set names = cdesk._snowflake_names() %}
    create or replace task {{ names.daily_task }}
        warehouse = {{ names.build_warehouse }}
        schedule = 'USING CRON 43 2 * * * UTC'
        user_task_timeout_ms = 1800000
    as
    execute dbt project {{ names.project }} args = 'build --target snowflake'
{%- endmacro %}

{#
    A stream that was not read for longer than its table keeps changes is stale: it can't be read
    any more, and the task would fail for ever. It is made anew; what had landed meanwhile is found
    by the models themselves. https://docs.snowflake.com/en/user-guide/streams-intro#data-retention-period-and-staleness
#}
{% macro _landing_stream_sql(is_stale) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {{ return("create " ~ ("or replace stream " if is_stale else "stream if not exists ")
        ~ names.stream
        ~ " on table " ~ names.landing ~ " append_only = true") }}
{%- endmacro %}

{% macro _stream_is_stale(stream, dry_run) -%}
    {%- set found = [] -%}
    {%- if execute and not dry_run -%}
        {%- set parts = stream.split('.') -%}
        {%- set sql = "show streams like '" ~ parts[2] ~ "' in schema " ~ parts[0] ~ "."
            ~ parts[1] -%}
        {%- for row in run_query(sql).rows if row['stale'] | string | lower == 'true' -%}
            {%- do found.append(row['name']) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found | length > 0) }}
{%- endmacro %}
