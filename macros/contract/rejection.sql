{#
    Why a landed record is refused, as `reason: detail` with the reasons of
    cdesk/contract/records.py, or null where it keeps the contract. The uploader has checked the
    record already; this check is the warehouse's own, since other loaders may write to `landing`.

    Arguments: `fields` is a column made by `json_fields(payload, names)`, where `names` hold all
    fields of the `kinds` that may stand there.
#}
{% macro rejection(
    kind, id, payload, fields, names,
    kinds=['event', 'revision', 'insight', 'artifact', 'query_run']
) -%}
    {%- set envelope = cdesk.record_fields('envelope') -%}
    {%- set said = {} -%}
    {%- for name in ['v', 'kind', 'id'] -%}
        {%- set text = cdesk.json_text(cdesk.json_field(fields, names, name)) -%}
        {%- do said.update({name: "coalesce(" ~ text ~ ", '')"}) -%}
    {%- endfor -%}
    case
        when not {{ cdesk.json_is(payload, 'object') }} then 'not_an_object: payload'
        when {{ kind }} not in ('{{ kinds | join("', '") }}') then 'unknown_kind: ' || {{ kind }}
        when {{ said.v }} != '1' then 'unknown_version: v'
        when {{ said.kind }} != {{ kind }} then 'wrong_value: kind'
        when {{ said.id }} != {{ id }} then 'wrong_value: id'
        {%- for field, rule in envelope.items() if field not in ['v', 'kind'] %}
        {{ cdesk._unless_kept(fields, names, field, rule) }}
        {%- endfor %}
        {{ cdesk.foreign_line() }}
        {%- for one in kinds %}
        {%- set own = cdesk.record_fields(one) %}
        when {{ kind }} = '{{ one }}' then
            case
                {%- for field, rule in own.items() if field not in envelope %}
                {{ cdesk._unless_kept(fields, names, field, rule) }}
                {%- endfor %}
                {%- if one == 'query_run' %}
                when not {{ cdesk._hash_agrees(fields, names) }} then 'wrong_value: query_hash'
                {%- endif %}
                when {{ cdesk.json_key_count(payload) }} > {{ own | length }}
                    then 'unknown_field: payload'
            end
        {%- endfor %}
    end
{%- endmacro %}

{% macro _unless_kept(fields, names, field, rule) -%}
    {%- set value = cdesk.json_field(fields, names, field) -%}
    when not {{ cdesk.record_rule(value, rule) }} then
            case
                when {{ value }} is null then 'missing_field: {{ field }}'
                else 'wrong_value: {{ field }}'
            end
{%- endmacro %}
