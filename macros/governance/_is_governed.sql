{#
    False only in a development target that has said so: policies need Enterprise Edition, and a
    sandbox may have none.
#}
{% macro _is_governed() -%}
    {%- if var('cdesk__governed', true) -%}
        {{ return(true) }}
    {%- elif target.name in ('dev', 'ci') -%}
        {{ return(false) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "cdesk__governed: false is for targets named dev or ci; this one is named '"
            ~ target.name ~ "'") }}
    {%- endif -%}
{%- endmacro %}
