create network rule if not exists CLAUDE_LOGS.ACTIVITIES.service_hosts type = ipv4 mode = ingress value_list = ('203.0.113.0/24');

alter network rule CLAUDE_LOGS.ACTIVITIES.service_hosts set value_list = ('203.0.113.0/24');

create network policy if not exists CDESK_SERVICE_HOSTS allowed_network_rule_list = ('CLAUDE_LOGS.ACTIVITIES.service_hosts');

create authentication policy if not exists CLAUDE_LOGS.ACTIVITIES.service_login
        authentication_methods = ('KEYPAIR', 'PROGRAMMATIC_ACCESS_TOKEN', 'WORKLOAD_IDENTITY')
        client_types = ('DRIVERS')
        pat_policy = (
            default_expiry_in_days = 15,
            max_expiry_in_days = 90,
            network_policy_evaluation = ENFORCED_REQUIRED,
            require_role_restriction_for_service_users = true
        );

create user if not exists CDESK_SERVICE_USER type = service;

alter user CDESK_SERVICE_USER set type = service, default_role = CDESK_SERVICE, default_warehouse = CDESK_WH, default_secondary_roles = (), network_policy = CDESK_SERVICE_HOSTS;

alter user CDESK_SERVICE_USER set authentication policy CLAUDE_LOGS.ACTIVITIES.service_login force;

alter user CDESK_SERVICE_USER set workload_identity = (type = aws arn = 'arn:aws:iam::123456789012:role/cdesk');

grant role CDESK_SERVICE to user CDESK_SERVICE_USER;

grant role CDESK_LOADER to user CDESK_SERVICE_USER;

use role CDESK_TRANSFORMER;

insert into CLAUDE_LOGS.ACTIVITIES.added_people (principal_kind, principal, customer)
select entry.* from (select 'loader' as principal_kind, 'CDESK_SERVICE_USER' as principal, '*' as customer) as entry
where not exists (select 1 from CLAUDE_LOGS.ACTIVITIES.added_people as known where known.principal_kind = entry.principal_kind and known.principal = entry.principal and known.customer = entry.customer);

insert into CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access (principal_kind, principal, customer)
select entry.* from (select 'loader' as principal_kind, 'CDESK_SERVICE_USER' as principal, '*' as customer) as entry
where not exists (select 1 from CLAUDE_LOGS.ACTIVITIES_ACCESS.customer_access as known where known.principal_kind = entry.principal_kind and known.principal = entry.principal and known.customer = entry.customer);

