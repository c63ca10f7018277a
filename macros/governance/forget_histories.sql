{#
    Takes what came of Claude's own histories out of the warehouse, of one customer, in one
    transaction: whatever bears one of `sources`, and what rests on it: queries that ran after the
    first of it had landed, unless they named activities of which none came from there, their
    results, and the insights that were drawn from them. What is left of the customer is numbered
    anew, and an insight that such a one had replaced is judged anew by the next build; what a
    context remembers goes with it. Answers by a line of JSON how many rows went from each table,
    and by another which queries; it can be run again. A legal hold refuses it. What is taken in
    again later comes back. It refuses while the last build has not taken in what landed of the
    customer: what rests on histories is known from the models. `cdesk capture off --forget` builds,
    runs this and does the files; on Snowflake it lands what waits and does the files, and the
    transformer role runs this after the next build.

    dbt run-operation forget_histories --args '{customer: ada@example.com, dry_run: true}'
#}
{% macro forget_histories(customer=none, sources=['claude_code', 'cowork'], dry_run=false) -%}
    {%- if customer is not string or not customer or customer | length > 255 -%}
        {{ exceptions.raise_compiler_error("forget_histories: customer is "
            ~ (customer | string)[:60] ~ "; allowed: 1 to 255 characters of text") }}
    {%- endif -%}
    {%- set known = ['claude_code', 'cowork', 'claude_export'] -%}
    {%- for source in sources if source not in known -%}
        {{ exceptions.raise_compiler_error("forget_histories: source is " ~ (source | string)[:60]
            ~ "; allowed: " ~ known | join(', ')) }}
    {%- endfor -%}
    {%- if execute and dry_run -%}
        {%- for sql in cdesk._resting_sql(sources) -%}
            {%- do print(sql | trim ~ ';\n') -%}
        {%- endfor -%}
        {%- for _, sql in cdesk._forget_histories_sql(sources) -%}
            {%- do print(sql | trim ~ ';\n') -%}
        {%- endfor -%}
    {%- elif execute and sources -%}
        {%- do cdesk._run_forgetting(customer, sources) -%}
    {%- endif -%}
{%- endmacro %}

{% macro _run_forgetting(customer, sources) -%}
    {%- do cdesk._name_the_erased(customer, none) -%}
    {%- do cdesk._require_no_hold(customer) -%}
    {%- set counts, rested = {}, [] -%}
    {%- if cdesk._is_there('events') -%}
        {%- do cdesk._require_built(customer) -%}
        {%- for sql in cdesk._resting_sql(sources) -%}
            {%- do cdesk._execute(sql) -%}
        {%- endfor -%}
        {%- do counts.update(cdesk._run_deletes(cdesk._forget_histories_sql(sources))) -%}
        {%- do rested.extend(cdesk._execute(
            "select distinct query_hash from forgotten_runs").fetchall()) -%}
    {%- endif -%}
    {%- do log('rested: ' ~ tojson(rested | map('first') | list), info=true) -%}
    {%- do log('erased: ' ~ tojson(counts), info=true) -%}
{%- endmacro %}

{% macro _require_built(customer) -%}
    {%- set ids = cdesk._in_schema('_ingest_ids') -%}
    {%- set looked_at = dbt.dateadd('second', -cdesk.overlap_seconds(), 'max(newest.landed_at)') -%}
    {%- set waiting = cdesk._execute(
        "select count(*)\nfrom " ~ cdesk._in_schema('landing') ~ " as landing\nwhere "
            ~ "landing.landed_at >= (select " ~ looked_at ~ " from " ~ ids
            ~ " as newest)\n    and (" ~ cdesk.line_field('landing', 'customer')
            ~ ") = (select erasing.customer from erasing)"
            ~ "\n    and not exists (select 1 from " ~ ids
            ~ " as known where known.landing_id = landing.id)"
    ).fetchall()[0][0] | int -%}
    {%- if waiting -%}
        {{ exceptions.raise_compiler_error("forget_histories: " ~ waiting ~ " lines of " ~ customer
            ~ " have landed since the last build, and may rest on histories; first run: dbt run "
            ~ "--selector refresh_live --target " ~ target.name) }}
    {%- endif -%}
{%- endmacro %}

{#
    What rests on histories, in temporary tables: runs, and the insights that were drawn from them.
    A run that names activities rests where one of those was captured: by a join, since Snowflake
    has no subquery that compares with `contains` in an OR.
    https://docs.snowflake.com/en/user-guide/querying-subqueries#limitations
#}
{% macro _resting_sql(sources) -%}
    {%- set erased = "(select erasing.customer from erasing)" -%}
    {%- set captured = cdesk._in_schema('events') ~ "\n    where customer = " ~ erased
        ~ " and _source_system in ('" ~ sources | join("', '") ~ "')" -%}
    {%- set beginning = "(select min(_landed_at) from " ~ captured ~ ")" -%}
    {%- set params = "cast(runs.params as " ~ dbt.type_string() ~ ")" -%}
    {{ return([
        "create or replace temporary table forgotten_runs as\nselect distinct"
            ~ " runs.query_run_id, runs.query_hash, coalesce(runs.artifact_id, '') as artifact_id"
            ~ "\nfrom " ~ cdesk._in_schema('provenance_chain') ~ " as runs\nleft join (\n    select"
            ~ " distinct activity from " ~ captured ~ "\n) as captured on contains(" ~ params
            ~ ", captured.activity)\nwhere runs.customer = " ~ erased
            ~ " and runs.executed_at >= " ~ beginning ~ "\n    and (captured.activity is not null"
            ~ " or not contains(" ~ params ~ ", 'cdesk.'))",
        "create or replace temporary table forgotten_insights as\nselect insight_id,"
            ~ " subject, metric\nfrom " ~ cdesk._in_schema('insight_atoms') ~ "\nwhere customer = "
            ~ erased ~ " and _landed_at >= " ~ beginning ~ "\n    and provenance_query_hash in"
            ~ " (select query_hash from forgotten_runs)",
    ]) }}
{%- endmacro %}

{# (table, statement): ids and contexts first, while what tells whose they are still stands. #}
{% macro _forget_histories_sql(sources) -%}
    {%- set erased = "(select erasing.customer from erasing)" -%}
    {%- set named = "('" ~ sources | join("', '") ~ "')" -%}
    {%- set landing = cdesk._in_schema('landing') -%}
    {%- set events = cdesk._in_schema('events') -%}
    {%- set is_theirs = "landing.kind in ('event', 'revision', 'quarantine') and ("
        ~ cdesk.line_field('landing', 'customer') ~ ") = " ~ erased ~ "\n    and ("
        ~ cdesk.line_field('landing', 'source_system') ~ ") in " ~ named -%}
    {%- set rests = [
        "kind = 'query_run' and id in (select query_run_id from forgotten_runs)",
        "kind = 'artifact' and id in (select artifact_id from forgotten_runs)",
        "kind = 'insight' and id in (select insight_id from forgotten_insights)",
    ] | join("\n    or ") -%}
    {{ return([
        ('_ingest_ids', "delete from " ~ cdesk._in_schema('_ingest_ids') ~ "\nwhere " ~ rests),
        ('landing', "delete from " ~ landing ~ "\nwhere " ~ rests),
        ('provenance_chain', "delete from " ~ cdesk._in_schema('provenance_chain')
            ~ " where query_run_id in (select query_run_id from forgotten_runs)"),
        ('artifacts', "delete from " ~ cdesk._in_schema('artifacts')
            ~ " where artifact_id in (select artifact_id from forgotten_runs)"),
        ('insight_atoms', "delete from " ~ cdesk._in_schema('insight_atoms')
            ~ " where insight_id in (select insight_id from forgotten_insights)"),
        ('insight_atoms', "update " ~ cdesk._in_schema('insight_atoms') ~ " set _judged_by = ''"
            ~ "\nwhere customer = " ~ erased ~ " and exists (\n    select 1 from forgotten_insights"
            ~ " as gone where gone.subject = insight_atoms.subject"
            ~ " and gone.metric = insight_atoms.metric)"),
        ('context_cache', "update " ~ cdesk._in_schema('context_cache') ~ " set _as_of_day = "
            ~ (cdesk.retention_mark() | trim) ~ " where customer = " ~ erased),
        ('_ingest_ids', "delete from " ~ cdesk._in_schema('_ingest_ids')
            ~ " where exists (\n    select 1 from " ~ landing
            ~ " as landing\n    where landing.landed_at = _ingest_ids.landed_at"
            ~ "\n        and landing.source_file = _ingest_ids.source_file"
            ~ "\n        and landing.source_offset = _ingest_ids.source_offset"
            ~ "\n        and landing.id = _ingest_ids.landing_id and " ~ is_theirs ~ "\n)"),
        ('quarantined_events', "delete from " ~ cdesk._in_schema('quarantined_events')
            ~ "\nwhere coalesce(customer, "
            ~ cdesk.json_string(cdesk.try_parse_json('raw'), 'customer') ~ ") = " ~ erased
            ~ " and " ~ cdesk.json_string(cdesk.try_parse_json('raw'), 'source_system')
            ~ " in " ~ named),
        ('events', "delete from " ~ events ~ " where customer = " ~ erased
            ~ " and _source_system in " ~ named),
        ('landing', "delete from " ~ landing ~ "\nwhere " ~ is_theirs),
        ('events', "update " ~ events ~ " set activity_occurrence = numbered.occurrence,"
            ~ " activity_repeated_at = numbered.repeated_at\nfrom (\n    select _activity_id,"
            ~ "\n        row_number() over (partition by customer, activity order by ts,"
            ~ " _activity_id) as occurrence,\n        lead(ts) over (partition by customer,"
            ~ " activity order by ts, _activity_id) as repeated_at\n    from " ~ events
            ~ "\n    where customer = " ~ erased ~ "\n) as numbered\nwhere events._activity_id = "
            ~ "numbered._activity_id and events.customer = " ~ erased),
    ]) }}
{%- endmacro %}
