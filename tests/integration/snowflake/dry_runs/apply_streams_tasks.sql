alter task if exists CLAUDE_LOGS.ACTIVITIES.build_on_landing suspend;

drop task if exists CLAUDE_LOGS.ACTIVITIES.build_daily;

create stream if not exists CLAUDE_LOGS.ACTIVITIES.landing_stream on table CLAUDE_LOGS.ACTIVITIES.landing append_only = true;

create or replace task CLAUDE_LOGS.ACTIVITIES.build_on_landing
        warehouse = CDESK_BUILD_WH
        user_task_minimum_trigger_interval_in_seconds = 60
        user_task_timeout_ms = 1800000
        suspend_task_after_num_failures = 10
        when system$stream_has_data('CLAUDE_LOGS.ACTIVITIES.landing_stream')
    as
    execute immediate $$
    begin
        insert into CLAUDE_LOGS.ACTIVITIES.applied_setup (step) select id from CLAUDE_LOGS.ACTIVITIES.landing_stream where 1 = 0;
        let builds_of_the_day integer := (
            select count(*) from CLAUDE_LOGS.ACTIVITIES.applied_setup
            where step = 'build_daily' and applied_at >= date_trunc('day', sysdate())
        );
        if (builds_of_the_day = 0) then
            delete from CLAUDE_LOGS.ACTIVITIES.applied_setup where step = 'build_daily';
            insert into CLAUDE_LOGS.ACTIVITIES.applied_setup (step, applied_at) select 'build_daily', sysdate();
            execute dbt project CLAUDE_LOGS.ACTIVITIES.cdesk args = 'build --target snowflake';
        else
            begin
                execute dbt project CLAUDE_LOGS.ACTIVITIES.cdesk args = 'run --selector refresh_live --target snowflake';
            exception
                when other then
                    execute dbt project CLAUDE_LOGS.ACTIVITIES.cdesk args = 'run --selector refresh_live --target snowflake';
            end;
        end if;
    end
    $$;

alter task CLAUDE_LOGS.ACTIVITIES.build_on_landing resume;

