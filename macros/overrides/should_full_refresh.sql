{#
    Overrides dbt's: a model whose table lacks a column that it has now, since an earlier release
    made it, is built anew by itself. Only one that says `rebuilt_from_landing` in its meta: all of
    it comes from lines that retention never takes. Nobody has to run `--full-refresh` after an
    upgrade, and nobody's history is lost by it.
#}
{% macro should_full_refresh() -%}
    {%- set configured = config.get('full_refresh') -%}
    {%- set wanted = flags.FULL_REFRESH if configured is none else configured -%}
    {{ return(wanted or cdesk._is_of_an_earlier_release()) }}
{%- endmacro %}

{# Each `is_incremental()` of a model asks again, so the answer is kept: the account isn't. #}
{% macro _is_of_an_earlier_release() -%}
    {%- set kept = 'cdesk_is_of_an_earlier_release' -%}
    {%- if execute and kept not in model -%}
        {%- do model.update({kept: cdesk._lacks_a_column()}) -%}
    {%- endif -%}
    {{ return(model.get(kept, false)) }}
{%- endmacro %}

{% macro _lacks_a_column() -%}
    {%- if (config.get('meta') or {}).get('rebuilt_from_landing') -%}
        {%- set relation = load_relation(this) -%}
        {%- if relation is not none and relation.type == 'table' -%}
            {%- set there = [] -%}
            {%- for column in adapter.get_columns_in_relation(relation) -%}
                {%- do there.append(column.name | lower) -%}
            {%- endfor -%}
            {%- for name in model.columns if name | lower not in there -%}
                {{ return(true) }}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}
