{#
    dbt says `timestamp`, which is what the account's TIMESTAMP_TYPE_MAPPING says: with a time zone
    of the session in one that has set it so. Ours are in UTC and have none.
    https://docs.snowflake.com/en/sql-reference/parameters#timestamp-type-mapping
#}
{% macro snowflake__type_timestamp() -%}
    {{ return('timestamp_ntz') }}
{%- endmacro %}
