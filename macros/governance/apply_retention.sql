{#
    Deletes events and what was landed for them after `events_days`, and expired artifacts after
    `artifacts_days`, counted from landing; on Snowflake every night from then on, on DuckDB each
    time it runs (the worker runs it once a day where `retention_days` is set). A legal hold wins:
    on an artifact (its own flag) or on a customer (a row in legal_holds); what names no customer
    may be the held one's, and is kept while there is any hold. Insights, query runs and the ids
    that have been seen are kept. Occurrence numbers stay as they are; what a context remembers of a
    deleted question goes with the next build. On Snowflake run it as the transformer or the
    administrator role.

    `clones`: copies of the schema in the same database, as one is made before an upgrade
    (Snowflake): the same goes from them, for as long as they are there. Their tables keep their
    owner, the schema itself has to be granted to the transformer role.
    https://docs.snowflake.com/en/user-guide/object-clone#access-control-privileges-for-cloned-objects

    dbt run-operation apply_retention --target snowflake --args '{events_days: 365, dry_run: true}'
#}
{% macro apply_retention(events_days=180, artifacts_days=90, dry_run=false, clones=[]) -%}
    {%- for what, days, least in [
        ('events_days', events_days, 180), ('artifacts_days', artifacts_days, 90),
    ] -%}
        {%- if days is not integer or days is boolean or days < least -%}
            {{ exceptions.raise_compiler_error("apply_retention: " ~ what ~ " is " ~ days
                ~ "; allowed: a whole number of at least " ~ least) }}
        {%- endif -%}
    {%- endfor -%}
    {%- for clone in clones
        if not modules.re.match('^[A-Za-z_][A-Za-z0-9_$]{0,99}$', clone | string) -%}
        {{ exceptions.raise_compiler_error("apply_retention: clones has " ~ clone
            ~ "; allowed: names of schemas") }}
    {%- endfor -%}
    {{ return(adapter.dispatch('apply_retention', 'cdesk')(events_days, artifacts_days, dry_run,
        clones)) }}
{%- endmacro %}

{# In one transaction; answers by a line of JSON how many rows went. #}
{% macro default__apply_retention(events_days, artifacts_days, dry_run, clones) -%}
    {%- set schema = '"' ~ target.database ~ '"."' ~ target.schema ~ '"' -%}
    {%- set deletes = cdesk._retention_sql(schema, events_days, artifacts_days) -%}
    {%- if dry_run -%}
        {{ cdesk._run_statements('apply_retention', deletes, dry_run) }}
    {%- elif execute and cdesk._is_there('events') -%}
        {%- do cdesk.create_legal_holds() -%}
        {%- set counts = [] -%}
        {%- for statement in deletes -%}
            {%- set rows = cdesk._execute(statement, begins=true).fetchall() -%}
            {%- do counts.append((rows[0][0] if rows else 0) | int) -%}
        {%- endfor -%}
        {%- do adapter.commit() -%}
        {#- the first only marks contexts -#}
        {%- do log('retained: ' ~ tojson({'deleted': counts[1:] | sum}), info=true) -%}
    {%- endif -%}
{%- endmacro %}

{% macro snowflake__apply_retention(events_days, artifacts_days, dry_run, clones) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set deletes = cdesk._retention_sql(names.schema, events_days, artifacts_days) -%}
    {# one that is gone, or of an older form, keeps nothing else from its turn #}
    {%- set of_clones = [] -%}
    {%- for clone in clones -%}
        {%- set theirs = cdesk._retention_sql(names.database ~ '.' ~ clone | upper, events_days,
            artifacts_days) -%}
        {%- do of_clones.append("\n    begin\n        " ~ (theirs | join(';\n        '))
            ~ ";\n    exception\n        when other then null;\n    end;") -%}
    {%- endfor -%}
    {%- set body = "execute immediate $$\nbegin\n    " ~ (deletes | join(';\n    '))
        ~ ";" ~ of_clones | join('') ~ "\nend\n$$" -%}
    {{ cdesk._needs_setup(dry_run) }}
    {%- if execute and not dry_run and adapter.get_relation(target.database, target.schema,
        'events') is none -%}
        {{ exceptions.raise_compiler_error(
            "apply_retention: nothing is built yet; first run: dbt build --target snowflake") }}
    {%- endif -%}
    {%- for clone in clones if execute and not dry_run
        and adapter.get_relation(target.database, clone | upper, 'events') is none -%}
        {{ exceptions.raise_compiler_error("apply_retention: clones has " ~ clone
            ~ ", which isn't there, or which this role may not use: a clone has the privileges of "
            ~ "what is in it and none of its own. As its owner: grant usage on schema "
            ~ names.database ~ "." ~ clone | upper ~ " to role " ~ names.transformer) }}
    {%- endfor -%}
    {{ cdesk._run_statements('apply_retention', [
        "alter task if exists " ~ names.retention_task ~ " suspend",
        "create or replace task " ~ names.retention_task ~ "\n    warehouse = "
            ~ names.build_warehouse
        ~ "\n    schedule = 'USING CRON 17 3 * * * UTC'\nas\n" ~ body,
        "alter task " ~ names.retention_task ~ " resume",
    ] + deletes, dry_run) }}
{%- endmacro %}

{% macro _days_ago(days) -%}
    {{ return(adapter.dispatch('_days_ago', 'cdesk')(days)) }}
{%- endmacro %}

{% macro default___days_ago(days) -%}
    dateadd(day, -{{ days }}, sysdate())
{%- endmacro %}

{% macro duckdb___days_ago(days) -%}
    ({{ cdesk.utc_now() }} - to_days({{ days }}))
{%- endmacro %}

{% macro _retention_sql(schema, events_days, artifacts_days) -%}
    {%- set held = "(select lower(holds.customer) from " ~ schema
        ~ ".legal_holds as holds where holds.customer is not null)" -%}
    {%- set nothing_is_held = "(select count(*) from " ~ schema ~ ".legal_holds) = 0" -%}
    {%- set events_end = cdesk._days_ago(events_days) -%}
    {%- set artifacts_end = cdesk._days_ago(artifacts_days) -%}
    {%- set of_landing = cdesk.json_string('payload', 'customer') -%}
    {# first, while the activities tell of whom some will go #}
    {%- set statements = [
        "update " ~ schema ~ ".context_cache set _as_of_day = "
            ~ (cdesk.retention_mark() | trim) ~ " where lower(customer) not in " ~ held
            ~ " and customer in (select distinct customer from " ~ schema
            ~ ".events where _landed_at < " ~ events_end ~ ")",
        "delete from " ~ schema ~ ".events where _landed_at < " ~ events_end
            ~ " and lower(customer) not in " ~ held,
    ] -%}
    {%- for start, customer in [
        ("delete from " ~ schema
            ~ ".landing where kind in ('event', 'revision', 'quarantine') and landed_at < "
            ~ events_end, of_landing),
        ("delete from " ~ schema ~ ".quarantined_events where landed_at < " ~ events_end,
            'customer'),
    ] -%}
        {%- do statements.append(start ~ " and lower(" ~ customer ~ ") not in " ~ held) -%}
        {%- do statements.append(start ~ " and " ~ customer ~ " is null and " ~ nothing_is_held) -%}
    {%- endfor -%}
    {#
        An artifact's line goes before the artifact: from it, a table that was emptied would be
        filled again. Both go 30 days after the artifact expires: until then a desktop can still
        ask whether its file may go.
    #}
    {%- set of_artifacts = "_landed_at < " ~ artifacts_end
        ~ " and expires_at < " ~ cdesk._days_ago(30) ~ " and not has_legal_hold"
        ~ " and lower(customer) not in " ~ held -%}
    {%- do statements.extend([
        "delete from " ~ schema ~ ".landing where kind = 'artifact' and landed_at < "
            ~ artifacts_end ~ " and id in (select artifact_id from "
            ~ schema ~ ".artifacts where " ~ of_artifacts ~ ")",
        "delete from " ~ schema ~ ".artifacts where " ~ of_artifacts,
        "delete from " ~ schema ~ ".context_cache where updated_at < " ~ events_end
            ~ " and lower(customer) not in " ~ held,
    ]) -%}
    {{ return(statements) }}
{%- endmacro %}
