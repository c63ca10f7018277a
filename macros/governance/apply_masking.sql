{#
    Masking policies on every column that may hold what a person typed or a query found: readers see
    credentials and personal data redacted, by the one list of cdesk/contract/redaction; builds
    and administrators see all. A text column is masked unless it is declared safe. With `tags` (the
    default) every VARIANT column of the schema is masked through a tag as well, also one that
    somebody makes outside this project. Run it as the administrator role.

    dbt run-operation apply_masking --target snowflake --args '{dry_run: true}'
#}
{% macro apply_masking(dry_run=false, tags=true) -%}
    {{ return(adapter.dispatch('apply_masking', 'cdesk')(dry_run, tags)) }}
{%- endmacro %}

{% macro default__apply_masking(dry_run, tags) -%}
    {{ cdesk._needs_snowflake('apply_masking') }}
{%- endmacro %}

{% macro snowflake__apply_masking(dry_run, tags) -%}
    {{ cdesk._needs_setup(dry_run) }}
    {%- set policies = cdesk._masking_sql() -%}
    {%- set statements = policies + (cdesk._masking_tag_sql() if tags else []) -%}
    {%- for relation in cdesk._governed_relations(dry_run) -%}
        {%- for column, policy in relation.protection.masks.items() -%}
            {#
                `force` exchanges one policy for another in one step; unset and set would leave a
                gap
            #}
            {%- do statements.append(
                "alter " ~ relation.kind ~ " " ~ relation.full_name ~ " modify column " ~ column
                    ~ " set masking policy " ~ policy ~ " force") -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ cdesk._run_statements('apply_masking',
        statements + cdesk._record_step_sql('apply_masking', policies), dry_run) }}
{%- endmacro %}

{#
    mask_landing: a landed line is whole for builds, administrators and our own views (whose columns
    are masked themselves), and nothing to anybody else, the loader included: a MERGE writes what it
    was given, whatever it may read.
    https://docs.snowflake.com/en/user-guide/security-column-ddm-use
#}
{% macro _masking_sql() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set bodies = [
        (names.mask_document, 'variant', names.redact ~ '(value)'),
        (names.mask_landing, 'variant', "iff(invoker_role() = '" ~ names.transformer
            ~ "', value, null)"),
        (names.mask_json_text, 'varchar', names.redact_json_text ~ '(value)'),
        (names.mask_text, 'varchar', names.redact_text ~ '(value)'),
        (names.mask_link, 'varchar', names.redact_text ~ "(regexp_substr(value, '[^?#]*'))"),
    ] -%}
    {%- set statements = cdesk._redaction_functions_sql() -%}
    {%- for name, type, masked in bodies -%}
        {%- set body = "case when value is null or " ~ cdesk._is_privileged() ~ " then value else "
            ~ masked | trim ~ " end" -%}
        {%- do statements.append("create masking policy if not exists " ~ name ~ " as (value "
            ~ type ~ ") returns " ~ type ~ " ->\n" ~ body) -%}
        {%- do statements.append("alter masking policy " ~ name ~ " set body ->\n" ~ body) -%}
    {%- endfor -%}
    {%- for grant in cdesk.snowflake_grants('apply_masking') -%}
        {%- do statements.append(cdesk._grant_sql(grant)) -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}

{#
    https://docs.snowflake.com/en/user-guide/tag-based-masking-policies: a policy that stands on the
    column itself takes precedence over the tag's.
#}
{% macro _masking_tag_sql() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {{ return([
        "create tag if not exists " ~ names.tag ~ " allowed_values 'document'",
        "alter tag " ~ names.tag ~ " set masking policy " ~ names.mask_document ~ " force",
        "alter schema " ~ names.schema ~ " set tag " ~ names.tag ~ " = 'document'",
    ]) }}
{%- endmacro %}
