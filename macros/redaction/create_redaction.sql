{#
    Makes the function behind `redact_text` at the start of every dbt run, where it is not there in
    this version, and on DuckDB the one that says which texts it needn't look at. On Snowflake
    apply_masking makes it, as its owner is the administrator; only a sandbox without policies makes
    its own. A refresh makes no view, and needs none of it.
#}
{% macro create_redaction() -%}
    {%- if execute and invocation_args_dict.get('selector') != 'refresh' -%}
        {{ adapter.dispatch('create_redaction', 'cdesk')() }}
    {%- endif -%}
{%- endmacro %}

{% macro default__create_redaction() -%}
    {%- set name = cdesk._redaction_function('redact_text') -%}
    {%- set body = cdesk._redact_text_sql('value') -%}
    {%- set asked = cdesk._may_need_redaction_sql('value') -%}
    {%- set version = local_md5(body ~ asked) -%}
    {%- set standing -%}
    select comment
    from duckdb_functions()
    where
        database_name = '{{ target.database }}'
        and schema_name = '{{ target.schema }}'
        and function_name = 'redact_text'
    {%- endset -%}
    {%- set found = run_query(standing).rows -%}
    {%- if found | length == 0 or found[0][0] != version -%}
        {%- set may_need = cdesk._redaction_function('may_need_redaction') -%}
        {% do run_query('create or replace macro ' ~ may_need ~ '(value) as ' ~ asked) %}
        {% do run_query('create or replace macro ' ~ name ~ '(value) as ' ~ body) %}
        {% do run_query('comment on macro ' ~ name ~ " is '" ~ version ~ "'") %}
    {%- endif -%}
{%- endmacro %}

{% macro snowflake__create_redaction() -%}
    {%- if not cdesk._is_governed() -%}
        {%- for statement in cdesk._redaction_functions_sql() -%}
            {% do run_query(statement) %}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
