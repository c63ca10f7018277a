{#
    Remembers which text of a step is in force, so that a build can tell an older set-up from the
    one that it was written for.
#}
{% macro _record_step_sql(step, statements) -%}
    {%- set names = cdesk._snowflake_names() -%}
    {{ return([
        "delete from " ~ names.steps ~ " where step = '" ~ step ~ "'",
        "insert into " ~ names.steps ~ " (step, fingerprint, applied_at) select '" ~ step ~ "', '"
            ~ cdesk._fingerprint(statements) ~ "', sysdate()",
    ]) }}
{%- endmacro %}

{% macro _fingerprint(statements) -%}
    {{ return(local_md5(statements | join(';\n'))) }}
{%- endmacro %}
