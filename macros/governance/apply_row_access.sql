{#
    Row access policies: `customer_rows` on every table and view with `customer`, `internal_rows` on
    everything else that isn't for everyone. Changed text replaces the body of the policy in force,
    so there is no moment without it. Run it as the administrator role.

    dbt run-operation apply_row_access --target snowflake --args '{dry_run: true}'
#}
{% macro apply_row_access(dry_run=false) -%}
    {{ return(adapter.dispatch('apply_row_access', 'cdesk')(dry_run)) }}
{%- endmacro %}

{% macro default__apply_row_access(dry_run) -%}
    {{ cdesk._needs_snowflake('apply_row_access') }}
{%- endmacro %}

{% macro snowflake__apply_row_access(dry_run) -%}
    {{ cdesk._needs_setup(dry_run) }}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set policies = cdesk._row_access_sql() -%}
    {%- set statements = policies + cdesk._row_access_attachments_sql(dry_run) -%}
    {%- if execute and not dry_run and cdesk._has_earlier_access() -%}
        {%- do statements.append("drop table if exists " ~ names.old_access) -%}
    {%- endif -%}
    {{ cdesk._run_statements('apply_row_access',
        statements + cdesk._record_step_sql('apply_row_access', policies), dry_run) }}
{%- endmacro %}

{#
    customer_rows: builds and administrators see all rows (the explicit bypass); the service sees
    the customer whom the query executor has set for this session, or all of them for an org
    template; a person sees the customers that customer_access gives their user or role ('*' is
    all). Null is no. internal_rows: what only the pipeline reads. invoker_role is the owner of the
    view that reads it, so our own views work for readers. landing_rows: as internal_rows, and the
    rows, not their payload, for the loader, which asks what has landed already. access_rows:
    customer_access itself shows everybody what is said of them, and no more. customer_rows reads it
    on their behalf, with the rights of its owner, and its policy applies there, too
    (https://docs.snowflake.com/en/user-guide/security-row-intro). Our own views read all of it: whether a line
    is foreign is not for its reader to decide. current_role and not is_role_in_session decides who
    sees more: a user's other roles, in force beside the one asked for, add nothing.

    customer_rows keeps to the form that Snowflake shows for a mapping table: a lookup joined by OR,
    compared by equality, and none inside a CASE.
    https://docs.snowflake.com/en/user-guide/security-row-using
#}
{% macro _row_access_sql() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set entry -%}
    exists (
        select 1
        from {{ names.access }} as access
        where
            current_role() != '{{ names.service }}'
            and {{ cdesk._is_about_session('access.principal_kind', 'access.principal') }}
            and access.customer =
    {%- endset -%}
    {%- set customer_rows -%}
    {{ cdesk._is_privileged() }}
    or (
        current_role() = '{{ names.service }}'
        and coalesce(getvariable('CDESK_SCOPE') = 'org' or row_customer = getvariable('CDESK_CUSTOMER'), false)
    )
    or {{ entry }} row_customer
    )
    or {{ entry }} '*'
    )
    {%- endset -%}
    {%- set internal_rows -%}
    {{ cdesk._is_privileged() }} or invoker_role() = '{{ names.transformer }}'
    {%- endset -%}
    {%- set landing_rows = internal_rows ~ " or current_role() = '" ~ names.loader ~ "'" -%}
    {%- set access_rows = internal_rows ~ " or " ~ cdesk._is_about_session('row_kind',
        'row_principal') -%}
    {%- set statements = [] -%}
    {%- for name, signature, body in [
        (names.customer_rows, 'row_customer varchar', customer_rows),
        (names.internal_rows, 'row_key varchar', internal_rows),
        (names.landing_rows, 'row_key varchar', landing_rows),
        (names.access_rows, 'row_kind varchar, row_principal varchar', access_rows),
    ] -%}
        {%- do statements.append("create row access policy if not exists " ~ name ~ " as ("
            ~ signature ~ ") returns boolean ->\n" ~ body) -%}
        {%- do statements.append("alter row access policy " ~ name ~ " set body ->\n" ~ body) -%}
    {%- endfor -%}
    {%- for grant in cdesk.snowflake_grants('apply_row_access') -%}
        {%- do statements.append(cdesk._grant_sql(grant)) -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}

{#
    Who sees everything: the role that builds and the administrator's, each where it is the role
    that the session was opened with.
#}
{% macro _is_privileged() -%}
    {%- set names = cdesk._snowflake_names() -%}
    current_role() in ('{{ names.transformer }}', '{{ names.admin }}')
{%- endmacro %}

{# Is an entry of customer_access about the user of this session, or a role that they use? #}
{% macro _is_about_session(kind, principal) -%}
    (({{ kind }} = 'user' and upper({{ principal }}) = current_user()) or ({{ kind }} = 'role' and is_role_in_session({{ principal }})))
{%- endmacro %}

{#
    What is already right is left alone; one policy is exchanged for another in a single statement.
#}
{% macro _row_access_attachments_sql(dry_run) -%}
    {%- set attached = {} if dry_run else cdesk._attached_row_access() -%}
    {%- set statements = [] -%}
    {%- for relation in cdesk._governed_relations(dry_run) if relation.protection.row_access -%}
        {%- set wanted = relation.protection.row_access -%}
        {%- set found = attached.get(relation.name | upper) -%}
        {%- if found | upper != wanted.split(' ')[0] | upper -%}
            {%- do statements.append(
                "alter " ~ relation.kind ~ " " ~ relation.full_name ~ (" drop row access policy "
                    ~ found ~ "," if found else "")
                ~ " add row access policy " ~ wanted) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}

{# relation → the one of our policies that it has #}
{% macro _attached_row_access() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set attached = {} -%}
    {%- if execute -%}
        {%- for policy in [names.customer_rows, names.internal_rows, names.landing_rows,
            names.access_rows] -%}
            {%- if cdesk._policy_exists(policy) -%}
                {%- for row in run_query(cdesk._policy_references_sql(policy)).rows -%}
                    {%- do attached.update({row[0] | upper: policy}) -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(attached) }}
{%- endmacro %}

{% macro _policy_references_sql(policy) -%}
    select ref_entity_name, ref_column_name
    from table({{ target.database }}.information_schema.policy_references(policy_name => '{{ policy }}'))
{%- endmacro %}

{% macro _policy_exists(policy) -%}
    {%- set parts = policy.split('.') -%}
    {%- set kind = 'row access' if parts[2].endswith('_rows') else 'masking' -%}
    {{ return((run_query("show " ~ kind ~ " policies like '" ~ parts[2] ~ "' in schema " ~ parts[0]
        ~ "." ~ parts[1]).rows | length) > 0) }}
{%- endmacro %}
