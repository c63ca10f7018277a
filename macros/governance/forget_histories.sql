{#
    Takes what came of Claude's own histories out of the warehouse, of one customer, in one
    transaction: whatever bears one of `sources`. What is left of the customer is numbered anew,
    and what a context remembers goes with the next build. Answers by a line of JSON how many rows
    went from each table; it can be run again. A legal hold refuses it. What is taken in again
    later comes back. `cdesk capture off --forget` runs this and does the files; on Snowflake run
    it as the transformer role.

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
        {%- for _, sql in cdesk._forget_histories_sql(sources) -%}
            {%- do print(sql | trim ~ ';\n') -%}
        {%- endfor -%}
    {%- elif execute and sources -%}
        {%- do cdesk._name_the_erased(customer, none) -%}
        {%- do cdesk._require_no_hold(customer) -%}
        {%- set counts = {} -%}
        {%- for table, sql in cdesk._forget_histories_sql(sources) if cdesk._is_there(table) -%}
            {%- set rows = cdesk._execute(sql).fetchall() -%}
            {%- set count = (rows[0][0] if rows else 0) | int -%}
            {%- if sql.startswith('delete') -%}
                {%- do counts.update({table: count}) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do adapter.commit() -%}
        {%- do log('erased: ' ~ tojson(counts), info=true) -%}
    {%- endif -%}
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
    {{ return([
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
