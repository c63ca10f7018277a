{#
    Runs (table, statement) in one transaction, but for tables that are not there, and commits;
    table → how many rows were deleted from it. What is prepared before stands outside it: Snowflake
    ends a transaction with each statement that makes something, a temporary table too.
    https://docs.snowflake.com/en/sql-reference/transactions#ddl
#}
{% macro _run_deletes(statements) -%}
    {%- set counts, ran = {}, [] -%}
    {%- do cdesk._begin() -%}
    {%- for table, sql in statements if cdesk._is_there(table) -%}
        {%- do ran.append(table) -%}
        {%- set rows = cdesk._execute(sql, begins=true).fetchall() -%}
        {%- if sql.startswith('delete') -%}
            {%- set count = (rows[0][0] if rows else 0) | int -%}
            {%- do counts.update({table: counts.get(table, 0) + count}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if ran -%}{%- do cdesk._commit() -%}{%- endif -%}
    {{ return(counts) }}
{%- endmacro %}

{#
    A transaction of statements that `_execute` with `begins`. dbt-snowflake has none of its own:
    what dbt begins and commits there does nothing, and each statement stands by itself.
    https://docs.getdbt.com/reference/resource-configs/snowflake-configs
#}
{% macro _begin() -%}
    {{ return(adapter.dispatch('_begin', 'cdesk')()) }}
{%- endmacro %}

{% macro default___begin() -%}{%- endmacro %}

{% macro snowflake___begin() -%}
    {%- do cdesk._execute('begin') -%}
{%- endmacro %}

{% macro _commit() -%}
    {{ return(adapter.dispatch('_commit', 'cdesk')()) }}
{%- endmacro %}

{% macro default___commit() -%}
    {%- do adapter.commit() -%}
{%- endmacro %}

{% macro snowflake___commit() -%}
    {%- do cdesk._execute('commit') -%}
{%- endmacro %}

{# The cursor of a statement, which begins a transaction or stands by itself. #}
{% macro _execute(sql, bindings=none, begins=false) -%}
    {%- set connection, cursor = adapter.add_query(sql, auto_begin=begins, bindings=bindings) -%}
    {{ return(cursor) }}
{%- endmacro %}
