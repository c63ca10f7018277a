{#
    Builds inside Snowflake when something has landed: a stream on landing, and a task that it
    triggers, which runs this project as a dbt project object (`snow dbt deploy`): once a day all of
    it with the tests, else the refresh. Suspended before it is changed and resumed after.
    `suspend: true` only suspends. Run it as the transformer role.

    dbt run-operation apply_streams_tasks --target snowflake --args '{dry_run: true}'
#}
{% macro apply_streams_tasks(every_seconds=60, suspend=false, dry_run=false) -%}
    {{ return(adapter.dispatch('apply_streams_tasks', 'cdesk')(every_seconds, suspend, dry_run)) }}
{%- endmacro %}

{% macro default__apply_streams_tasks(every_seconds, suspend, dry_run) -%}
    {{ cdesk._needs_snowflake('apply_streams_tasks') }}
{%- endmacro %}

{#
    An existing stream is kept: a new one would forget what it has seen. Two builds must not run at
    once, and two tasks would: an earlier version had a second one for the nights.
    https://docs.snowflake.com/en/user-guide/tasks-triggered
#}
{% macro snowflake__apply_streams_tasks(every_seconds, suspend, dry_run) -%}
    {%- if every_seconds is not integer or not 10 <= every_seconds <= 604800 -%}
        {{ exceptions.raise_compiler_error(
            "apply_streams_tasks: every_seconds is " ~ every_seconds ~ "; allowed: 10 to 604800") }}
    {%- endif -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set statements = [
        "alter task if exists " ~ names.task ~ " suspend",
        "drop task if exists " ~ names.daily_task,
    ] -%}
    {%- if not suspend -%}
        {%- do statements.extend([
            cdesk._landing_stream_sql(cdesk._stream_is_stale(names.stream, dry_run)),
            cdesk._build_task_sql(every_seconds) | trim,
            "alter task " ~ names.task ~ " resume",
        ]) -%}
    {%- endif -%}
    {{ cdesk._needs_setup(dry_run) }}
    {{ cdesk._run_statements('apply_streams_tasks', statements, dry_run) }}
{%- endmacro %}

{#
    The stream is read (and so emptied) before the build: a line that lands during the build
    triggers the next one. The first build of a day (UTC) is of everything, with the data tests,
    which read the account's views as well; one that fails is the task's failure, and no second one
    that day. All others are of the tables, and the views that know how far they are: the rest only
    changes with the project. One that failed is tried once more at once, and made up for by the
    next arrival after that, since models go by what they hold.
#}
{% macro _build_task_sql(every_seconds) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set refresh = "execute dbt project " ~ names.project
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
        let builds_of_the_day integer := (
            select count(*) from {{ names.steps }}
            where step = 'build_daily' and applied_at >= date_trunc('day', sysdate())
        );
        if (builds_of_the_day = 0) then
            delete from {{ names.steps }} where step = 'build_daily';
            insert into {{ names.steps }} (step, applied_at) select 'build_daily', sysdate();
            execute dbt project {{ names.project }} args = 'build --target snowflake';
        else
            begin
                {{ refresh }};
            exception
                when other then
                    {{ refresh }};
            end;
        end if;
    end
    $$
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
