{#
    Whose word a count or a time over activities is: `system` where every row behind it is of an
    activity that the system alone records, recorded by this server; `reported` where the model
    logged one, or a source that was brought in has a part in it. An aggregate over rows of
    `events`, of which it reads `activity` and `_source_system`; a template puts it out as `basis`,
    and says `row` of the evidence columns that it holds for.
#}
{% macro basis_of_rows() -%}
    case
        when
            coalesce(min(
                case
                    when
                        _source_system = 'claude_desktop'
                        and activity in {{ cdesk.system_only_activities() }}
                        then 1
                    else 0
                end
            ), 1) = 1
            then 'system'
        else 'reported'
    end
{%- endmacro %}
