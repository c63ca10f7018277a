{#
    `select *` from a relation with its text columns redacted. What a column may hold is decided by
    a default, to which a test holds each view: every text is named here, unless the YAML declares
    the column `meta: {safe: true}` (an identifier, a name of the system).

    Arguments: `relation`, a CTE; `texts`, the names of its text columns.
#}
{% macro mask_text_columns(relation, texts) -%}
    {{ return(adapter.dispatch('mask_text_columns', 'cdesk')(relation, texts)) }}
{%- endmacro %}

{% macro default__mask_text_columns(relation, texts) -%}
    select
        * replace (
            {%- for name in texts %}
            {{ cdesk.redact_text(name) }} as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
    from {{ relation }}
{%- endmacro %}

{#
    The function is long and bound anew at each use: once over all columns is quicker. Whether there
    is anything to redact is asked of all of a row's texts at once, and outside of the lambda: what
    stands in one is compiled anew for every two thousand rows.
#}
{% macro duckdb__mask_text_columns(relation, texts) -%}
    select
        * exclude (_masked, _texts) replace (
            {%- for name in texts %}
            _masked[{{ loop.index }}] as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
    from (
        select
            *,
            case
                when {{ cdesk._redaction_function('may_need_redaction') }}(_texts)
                    then list_transform(
                        [{{ texts | join(', ') }}], lambda text: {{ cdesk.redact_text('text') }}
                    )
                else [{{ texts | join(', ') }}]
            end as _masked
        from (
            select
                *,
                concat_ws(chr(10), {{ texts | join(', ') }}) as _texts
            from {{ relation }}
        )
    )
{%- endmacro %}

{# Names of the columns that a model, seed or snapshot declares safe, in lower case. #}
{% macro _safe_columns(node) -%}
    {%- set names = [] -%}
    {%- for column in ((node or {}).get('columns') or {}).values() if cdesk._is_safe(column) -%}
        {%- do names.append(column.name | lower) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{% macro _is_safe(column) -%}
    {%- set meta = (column.get('config') or {}).get('meta') or column.get('meta') or {} -%}
    {{ return(meta.get('safe', false)) }}
{%- endmacro %}
