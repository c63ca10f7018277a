{#
    A text field of a landed line: SQL over a relation with `kind` and `payload`. Of a line that is
    no record it is what its text says, null where that is no JSON.
#}
{% macro line_field(line, key) -%}
    case
            when {{ line }}.kind = 'quarantine'
                then {{ cdesk.json_string(
                    cdesk.try_parse_json(cdesk.json_string(line ~ '.payload', 'raw')), key
                ) }}
            else {{ cdesk.json_string(line ~ '.payload', key) }}
        end
{%- endmacro %}
