{# A model's name without the date and the marks at its end, as `model_prices` has it. #}
{% macro model_name(model) -%}
    regexp_replace(
        regexp_replace({{ model }}, '[[]1m[]]$', ''), '[-@]20[0-9]{6}$|-latest$', ''
    )
{%- endmacro %}
