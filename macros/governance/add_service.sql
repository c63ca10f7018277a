{#
    The user of the shared service: TYPE = SERVICE, so that nobody logs in as it with a password or
    by a browser; from the given addresses alone; by key pair, workload identity or a programmatic
    access token that is bound to one role. Run it as ACCOUNTADMIN, as often as you like.
    https://docs.snowflake.com/en/user-guide/admin-user-management#types-of-users

    addresses: IPv4 addresses or ranges that it may come from.
    public_key: of its key pair, without the lines around it.
    workload_identity: what stands between the parentheses of WORKLOAD_IDENTITY, such as
    `type = aws arn = 'arn:aws:iam::123456789012:role/cdesk'`.

    dbt run-operation add_service --target snowflake --args '{user: CDESK_SERVICE_USER,
    addresses: [203.0.113.0/24], dry_run: true}'
#}
{% macro add_service(user, addresses, public_key=none, workload_identity=none,
    dry_run=false) -%}
    {{ return(adapter.dispatch('add_service', 'cdesk')(user, addresses, public_key,
        workload_identity, dry_run)) }}
{%- endmacro %}

{% macro default__add_service(user, addresses, public_key, workload_identity, dry_run) -%}
    {{ cdesk._needs_snowflake('add_service') }}
{%- endmacro %}

{% macro snowflake__add_service(user, addresses, public_key, workload_identity, dry_run) -%}
    {{ cdesk._check_service(user, addresses, public_key, workload_identity) }}
    {{ cdesk._needs_setup(dry_run) }}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set user = user | upper -%}
    {%- set hosts = "'" ~ addresses | join("', '") ~ "'" -%}
    {%- set statements = [
        "create network rule if not exists " ~ names.service_hosts
            ~ " type = ipv4 mode = ingress value_list = (" ~ hosts ~ ")",
        "alter network rule " ~ names.service_hosts ~ " set value_list = (" ~ hosts ~ ")",
        "create network policy if not exists " ~ names.network_policy
            ~ " allowed_network_rule_list = ('" ~ names.service_hosts ~ "')",
        cdesk._login_policy_sql() | trim,
        "create user if not exists " ~ user ~ " type = service",
        "alter user " ~ user ~ " set type = service, default_role = " ~ names.service
            ~ ", default_warehouse = " ~ names.query_warehouse
            ~ ", default_secondary_roles = (), network_policy = " ~ names.network_policy,
        "alter user " ~ user ~ " set authentication policy " ~ names.login_policy ~ " force",
    ] -%}
    {%- if public_key is not none -%}
        {%- do statements.append("alter user " ~ user ~ " set rsa_public_key = '" ~ public_key
            ~ "'") -%}
    {%- endif -%}
    {%- if workload_identity is not none -%}
        {%- do statements.append("alter user " ~ user ~ " set workload_identity = ("
            ~ workload_identity ~ ")") -%}
    {%- endif -%}
    {%- for role in [names.service, names.loader] -%}
        {%- do statements.append("grant role " ~ role ~ " to user " ~ user) -%}
    {%- endfor -%}
    {# it lands for anybody; what it sees its session variables say #}
    {%- do statements.append("use role " ~ names.transformer) -%}
    {%- do statements.extend(cdesk._access_entry_sql('loader', user, '*')) -%}
    {{ cdesk._run_statements('add_service', statements, dry_run) }}
{%- endmacro %}

{#
    A token is good for one role and from the allowed addresses, and no longer than 90 days.
    https://docs.snowflake.com/en/sql-reference/sql/create-authentication-policy
#}
{% macro _login_policy_sql() -%}
    create authentication policy if not exists {{ cdesk._snowflake_names().login_policy }}
        authentication_methods = ('KEYPAIR', 'PROGRAMMATIC_ACCESS_TOKEN', 'WORKLOAD_IDENTITY')
        client_types = ('DRIVERS')
        pat_policy = (
            default_expiry_in_days = 15,
            max_expiry_in_days = 90,
            network_policy_evaluation = ENFORCED_REQUIRED,
            require_role_restriction_for_service_users = true
        )
{%- endmacro %}

{% macro _check_service(user, addresses, public_key, workload_identity) -%}
    {%- if not modules.re.match('^[A-Za-z_][A-Za-z0-9_$]{0,99}$', user | string) -%}
        {{ exceptions.raise_compiler_error("add_service: user is " ~ user
            ~ "; allowed: a name of letters, digits, _ and $") }}
    {%- endif -%}
    {%- for address in addresses or ['none'] -%}
        {%- if not modules.re.match('^[0-9]{1,3}([.][0-9]{1,3}){3}(/[0-9]{1,2})?$',
            address | string) -%}
            {{ exceptions.raise_compiler_error("add_service: addresses has " ~ address
                ~ "; allowed: IPv4 addresses and ranges, at least one") }}
        {%- endif -%}
    {%- endfor -%}
    {%- if public_key is not none and not modules.re.match('^[A-Za-z0-9+/=]+$', public_key) -%}
        {{ exceptions.raise_compiler_error("add_service: public_key is no base64 text; allowed: "
            ~ "what stands between the lines of the .pub file, in one line") }}
    {%- endif -%}
    {%- if workload_identity is not none and not modules.re.match(
        "^ *type *= *[a-zA-Z]+( +[a-z_]+ *= *'[^'()]*')+ *$", workload_identity) -%}
        {{ exceptions.raise_compiler_error("add_service: workload_identity is "
            ~ workload_identity ~ "; allowed: type = aws arn = '…', and the like") }}
    {%- endif -%}
{%- endmacro %}
