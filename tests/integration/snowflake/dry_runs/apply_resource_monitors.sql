create resource monitor if not exists CDESK_DAILY with credit_quota = 15
            frequency = daily
            start_timestamp = immediately
            triggers
                on 75 percent do notify
                on 95 percent do suspend
                on 100 percent do suspend_immediate;

alter resource monitor CDESK_DAILY set credit_quota = 15
            frequency = daily
            start_timestamp = immediately
            triggers
                on 75 percent do notify
                on 95 percent do suspend
                on 100 percent do suspend_immediate;

alter warehouse CDESK_WH set resource_monitor = CDESK_DAILY;

create resource monitor if not exists CDESK_MONTHLY with credit_quota = 400
            frequency = monthly
            start_timestamp = immediately
            triggers
                on 75 percent do notify
                on 95 percent do suspend
                on 100 percent do suspend_immediate;

alter resource monitor CDESK_MONTHLY set credit_quota = 400
            frequency = monthly
            start_timestamp = immediately
            triggers
                on 75 percent do notify
                on 95 percent do suspend
                on 100 percent do suspend_immediate;

alter warehouse CDESK_BUILD_WH set resource_monitor = CDESK_MONTHLY;

create resource monitor if not exists CDESK_ACCOUNT with credit_quota = 200
            frequency = monthly
            start_timestamp = immediately
            triggers
                on 75 percent do notify
                on 95 percent do suspend
                on 100 percent do suspend_immediate;

alter resource monitor CDESK_ACCOUNT set credit_quota = 200
            frequency = monthly
            start_timestamp = immediately
            triggers
                on 75 percent do notify
                on 95 percent do suspend
                on 100 percent do suspend_immediate;

alter account set resource_monitor = CDESK_ACCOUNT;

