{#
    Why a landed record is refused, as `reason: detail` with the reasons of cdesk/contract/records.py, or null where it keeps the contract.
    The uploader has checked the record already; this check is the warehouse's own, since other loaders may write to `landing`.

    Arguments: `fields` is a column made by `json_fields(payload, names)`, where `names` are all fields of `record_fields()`.
#}
{% macro rejection(kind, id, payload, fields, names) -%}
    {%- set kinds = ['event', 'insight', 'artifact', 'query_run'] -%}
    case
        when not {{ cdesk.json_is(payload, 'object') }} then 'not_an_object: payload'
        when {{ kind }} not in ('{{ kinds | join("', '") }}') then 'unknown_kind: ' || {{ kind }}
        when coalesce({{ cdesk.json_text(cdesk.json_field(fields, names, 'v')) }}, '') != '1' then 'unknown_version: v'
        when coalesce({{ cdesk.json_text(cdesk.json_field(fields, names, 'kind')) }}, '') != {{ kind }} then 'wrong_value: kind'
        when coalesce({{ cdesk.json_text(cdesk.json_field(fields, names, 'id')) }}, '') != {{ id }} then 'wrong_value: id'
        {%- for field, rule in cdesk.record_fields('envelope').items() if field not in ['v', 'kind'] %}
        when not {{ cdesk.record_rule(cdesk.json_field(fields, names, field), rule) }} then {{ cdesk._rejected_field(fields, names, field) }}
        {%- endfor %}
        {{ cdesk.foreign_line() }}
        {%- for one in kinds %}
        when {{ kind }} = '{{ one }}' then
            case
                {%- for field, rule in cdesk.record_fields(one).items() if field not in cdesk.record_fields('envelope') %}
                when not {{ cdesk.record_rule(cdesk.json_field(fields, names, field), rule) }} then {{ cdesk._rejected_field(fields, names, field) }}
                {%- endfor %}
                {%- if one == 'query_run' %}
                when not {{ cdesk._hash_agrees(fields, names) }} then 'wrong_value: query_hash'
                {%- endif %}
                when {{ cdesk.json_key_count(payload) }} > {{ cdesk.record_fields(one) | length }} then 'unknown_field: payload'
            end
        {%- endfor %}
    end
{%- endmacro %}

{% macro _rejected_field(fields, names, field) -%}
    case when {{ cdesk.json_field(fields, names, field) }} is null then 'missing_field: {{ field }}' else 'wrong_value: {{ field }}' end
{%- endmacro %}
