{#
    Takes everything of one customer out of the warehouse, in one transaction, and keeps out what
    may still come of it: `erasures` remembers a keyed hash of the customer and the time. Answers by
    a line of JSON how many rows went from each table. A legal hold refuses it. It can be run again,
    and takes then what has come since.

    The customer is bound, once, into a temporary table; no statement is made from it. Numbers of
    others don't change: an activity is numbered within its customer. `cdesk erase` runs this and
    does the files; on Snowflake run it as the transformer role.

    dbt run-operation erase --args '{customer: ada@example.com, dry_run: true}'
#}
{% macro erase(customer=none, erased_at=none, dry_run=false) -%}
    {%- if customer is not string or not customer or customer | length > 255 -%}
        {{ exceptions.raise_compiler_error("erase: customer is " ~ (customer | string)[:60]
            ~ "; allowed: 1 to 255 characters of text") }}
    {%- endif -%}
    {%- if execute -%}
        {%- if dry_run -%}
            {%- set tables = cdesk._tables_of_customers(cdesk._described_relations()) -%}
        {%- for _, sql in cdesk._erasure_sql(tables) -%}
            {%- do print(sql | trim ~ ';\n') -%}
        {%- endfor -%}
        {%- else -%}
            {%- do cdesk._run_erasure(customer, erased_at) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro _run_erasure(customer, erased_at) -%}
    {%- do cdesk._name_the_erased(customer, erased_at) -%}
    {%- do cdesk._require_no_hold(customer) -%}
    {%- set counts = cdesk._run_deletes(
        cdesk._erasure_sql(cdesk._found_tables_of_customers())) -%}
    {%- do log('erased: ' ~ tojson(counts), info=true) -%}
{%- endmacro %}

{# The customer, bound once, into a temporary table that statements read. #}
{% macro _name_the_erased(customer, erased_at) -%}
    {%- do cdesk._execute("create or replace temporary table erasing as select cast(null as "
        ~ dbt.type_string() ~ ") as customer, cast(null as "
        ~ dbt.type_timestamp() ~ ") as erased_at where false") -%}
    {%- set marks = "(" ~ dbt.get_binding_char() ~ ", cast(" ~ dbt.get_binding_char() ~ " as "
        ~ dbt.type_timestamp() ~ "))" -%}
    {%- set at = erased_at or modules.datetime.datetime.now(modules.pytz.utc).isoformat() -%}
    {%- do cdesk._execute("insert into erasing (customer, erased_at) values " ~ marks, [customer,
        (at | string)[:26] | replace('T', ' ') | replace('Z', '')]) -%}
{%- endmacro %}

{% macro _in_schema(name) -%}
    {{ return(api.Relation.create(database=target.database, schema=cdesk._schema_of(name),
        identifier=name)) }}
{%- endmacro %}

{% macro _is_there(name) -%}
    {{ return(load_relation(cdesk._in_schema(name)) is not none) }}
{%- endmacro %}

{% macro _require_no_hold(customer) -%}
    {%- if cdesk._is_there('artifact_retention') -%}
        {%- set held = cdesk._execute(
            "select count(*) from " ~ cdesk._in_schema('artifact_retention')
                ~ " as kept inner join erasing on kept.customer = erasing.customer "
                ~ "where kept.is_held"
        ).fetchall()[0][0] | int -%}
        {%- if held -%}
            {{ exceptions.raise_compiler_error("erase: " ~ customer ~ " is under legal hold ("
                ~ held ~ " stored results are held); lift the hold first") }}
        {%- endif -%}
    {%- endif -%}
    {%- if cdesk._execute("select count(*) from erasing where "
        ~ cdesk.customer_is_held('erasing.customer')).fetchall()[0][0] | int -%}
        {{ exceptions.raise_compiler_error("erase: " ~ customer
            ~ " is under legal hold (a row in legal_holds); lift the hold first") }}
    {%- endif -%}
{%- endmacro %}

{#
    (table, statement) in the order that they need: ids go while the rows that tell whose they are
    still stand. Whatever table has a column `customer` is one to delete from.
#}
{% macro _erasure_sql(tables) -%}
    {%- set erased = "(select erasing.customer from erasing)" -%}
    {%- set key = "(select coalesce(max(known.hash_key), " ~ cdesk.random_text() ~ ") from "
        ~ cdesk._in_schema('erasures') ~ " as known)" -%}
    {%- set hash = cdesk.erasure_hash('keyed.hash_key', 'keyed.customer') -%}
    {%- set keyed = "(select erasing.customer, erasing.erased_at, " ~ key
        ~ " as hash_key from erasing) as keyed" -%}
    {%- set owner = "(" ~ cdesk.line_field('landing', 'customer') ~ ")" -%}
    {%- set raw = cdesk.json_string('landing.payload', 'raw') -%}
    {%- set is_theirs = "(" ~ owner ~ " = " ~ erased ~ " or (landing.kind = 'quarantine' and "
        ~ owner ~ " is null and contains(" ~ raw ~ ", " ~ erased ~ ")))" -%}
    {%- set ids = cdesk._in_schema('_ingest_ids') -%}
    {%- set statements = [
        ('erasures', "insert into " ~ cdesk._in_schema('erasures')
            ~ " (erasure_id, customer_hash, erased_at, hash_key)\nselect " ~ cdesk.random_text()
            ~ ", " ~ hash
            ~ ", keyed.erased_at, keyed.hash_key\nfrom " ~ keyed),
        ('_ingest_ids', "delete from " ~ ids ~ " where exists (\n    select 1 from "
            ~ cdesk._in_schema('landing')
            ~ " as landing\n    where landing.landed_at = _ingest_ids.landed_at "
            ~ "and landing.source_file = _ingest_ids.source_file\n        "
            ~ "and landing.source_offset = _ingest_ids.source_offset"
            ~ "\n        and landing.id = _ingest_ids.landing_id\n        and " ~ is_theirs
            ~ "\n)"),
    ] -%}
    {%- for table, kind, id in [
        ('events', 'event', '_activity_id'),
        ('insight_atoms', 'insight', 'insight_id'),
        ('provenance_chain', 'query_run', 'query_run_id'),
        ('artifacts', 'artifact', 'artifact_id'),
    ] -%}
        {%- do statements.append(('_ingest_ids', "delete from " ~ ids ~ " where kind = '" ~ kind
            ~ "' and id in (select theirs." ~ id ~ " from "
            ~ cdesk._in_schema(table) ~ " as theirs where theirs.customer = " ~ erased ~ ")")) -%}
    {%- endfor -%}
    {%- for table in tables if table not in ('quarantined_events', 'legal_holds') -%}
        {%- do statements.append((table, "delete from " ~ cdesk._in_schema(table)
            ~ " where customer = " ~ erased)) -%}
    {%- endfor -%}
    {%- set named = "coalesce(customer, " ~ cdesk.json_string(cdesk.try_parse_json('raw'),
        'customer') ~ ")" -%}
    {%- do statements.append(('quarantined_events', "delete from "
        ~ cdesk._in_schema('quarantined_events') ~ "\nwhere " ~ named ~ " = " ~ erased ~ " or ("
        ~ named
        ~ " is null and contains(raw, " ~ erased ~ "))")) -%}
    {%- do statements.append(('landing', "delete from " ~ cdesk._in_schema('landing') ~ "\nwhere "
        ~ is_theirs)) -%}
    {{ return(statements) }}
{%- endmacro %}

{% macro _tables_of_customers(relations) -%}
    {%- set found = [] -%}
    {%- for name, relation in relations.items() if relation.kind == 'table'
        and 'customer' in relation.columns | map(attribute='name') -%}
        {%- do found.append(name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{% macro _found_tables_of_customers() -%}
    {{ return(adapter.dispatch('_found_tables_of_customers', 'cdesk')()) }}
{%- endmacro %}

{% macro default___found_tables_of_customers() -%}
    {{ return(cdesk._tables_of_customers(cdesk._existing_relations())) }}
{%- endmacro %}

{# https://duckdb.org/docs/stable/sql/meta/duckdb_table_functions: of one file of several #}
{% macro duckdb___found_tables_of_customers() -%}
    {%- set sql -%}
    select duckdb_columns.table_name
    from duckdb_columns() inner join duckdb_tables() using (database_name, schema_name, table_name)
    where database_name = current_database() and schema_name = '{{ target.schema }}' and column_name = 'customer'
    order by duckdb_columns.table_name
    {%- endset -%}
    {{ return(run_query(sql).columns[0].values() | list) }}
{%- endmacro %}
