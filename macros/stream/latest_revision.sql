{# The condition, for `qualify`, that a row of `recorded_revision` is the one that counts. #}
{% macro latest_revision() -%}
    row_number() over (
        partition by _activity_id, customer, activity, ts, _source_system
        order by _revision desc, _revision_id desc
    ) = 1
{%- endmacro %}
