{#
    A value that is bound when the template runs, never part of its SQL:
    `{{ cdesk.bind('hours_back') }}`. The name is declared in the template's `meta`, or is an
    identity bind (`customer`, `is_analyst`), which is always taken from the caller. The exporter
    of the catalog turns `?/*name*/` into `?` and the order of binds.
#}
{% macro bind(name) -%}
    {%- if not modules.re.fullmatch('[a-z][a-z0-9_]{0,62}', name) -%}
        {{ exceptions.raise_compiler_error(
            "bind: '" ~ name ~ "' is no parameter name; allowed: lower-case letters, digits and "
            ~ "underscores, a letter first"
        ) }}
    {%- endif -%}
    {#- sqlfluff doesn't parse `?` in DuckDB's dialect; .sqlfluff sets the variable -#}
    {{ '1' if var('cdesk__lint', false) else '?' }}/*{{ name }}*/
{%- endmacro %}
