{#
    An aggregate over the related rows. `of` is a value, or a condition for `count_if`, `any` and
    `all`; `count` needs none. `share` is for `percentile` (0 to 1), `separator` for `text`.
#}
{% macro agg(function, of=none, as=none, share=none, separator=none) -%}
    {% do cdesk._as_check_arguments(
        'agg', ['function', 'of', 'as', 'share', 'separator'],
        kwargs, varargs, [function],
    ) %}
    {{ return({
        'kind': 'aggregate', 'function': function, 'of': of, 'as': as, 'share': share,
        'separator': separator,
    }) }}
{%- endmacro %}
