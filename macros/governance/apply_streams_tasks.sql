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
        {{ exceptions.raise_compiler_error("apply_streams_tasks: every_seconds is " ~ every_seconds ~ "; allowed: 10 to 604800") }}
    {%- endif -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set task -%}
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
        execute dbt project {{ names.project }} args = 'build --target snowflake';
    exception
        when other then
            execute dbt project {{ names.project }} args = 'build --target snowflake';
    end
    $$
    {%- endset -%}
    {%- set statements = ["alter task if exists " ~ names.task ~ " suspend"] -%}
    {%- if not suspend -%}
        {%- do statements.extend([
            "create stream if not exists " ~ names.stream ~ " on table " ~ names.landing ~ " append_only = true",
            task,
            "alter task " ~ names.task ~ " resume",
        ]) -%}
    {%- endif -%}
    {{ cdesk._needs_setup(dry_run) }}
    {{ cdesk._run_statements('apply_streams_tasks', statements, dry_run) }}
{%- endmacro %}
