{#
    Whose word a count or a time over activities is: `system` where this server recorded all of the
    rows behind it, `reported` where a source that was brought in has a part in it. An aggregate
    over rows of `events`; a template puts it out as `basis`, and says `row` of the evidence columns
    that it holds for.
#}
{% macro basis_of_rows() -%}
    case
        when coalesce(min(case when _source_system = 'claude_desktop' then 1 else 0 end), 1) = 1
            then 'system'
        else 'reported'
    end
{%- endmacro %}
