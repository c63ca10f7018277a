drop task if exists CLAUDE_LOGS.ACTIVITIES.build_on_landing;

drop task if exists CLAUDE_LOGS.ACTIVITIES.build_daily;

drop task if exists CLAUDE_LOGS.ACTIVITIES.apply_retention;

drop stream if exists CLAUDE_LOGS.ACTIVITIES.landing_stream;

drop network policy if exists CDESK_SERVICE_HOSTS;

drop database if exists CLAUDE_LOGS;

drop warehouse if exists CDESK_WH;

drop warehouse if exists CDESK_BUILD_WH;

drop resource monitor if exists CDESK_DAILY;

drop resource monitor if exists CDESK_MONTHLY;

drop resource monitor if exists CDESK_ACCOUNT;

drop role if exists CDESK_SERVICE;

drop role if exists CDESK_READER;

drop role if exists CDESK_LOADER;

drop role if exists CDESK_TRANSFORMER;

drop role if exists CDESK_ADMIN;

