{#
    From `left_side` (as c), every row once, with the row of `right_side` (as a) nearest by `match`,
    among those for which `same` holds. `right_side` has one row an instant, so that "nearest" is
    one row.

    DuckDB: https://duckdb.org/docs/stable/guides/sql_features/asof_join
    Snowflake: https://docs.snowflake.com/en/sql-reference/constructs/asof-join (always an outer join)
#}
{% macro _as_asof_left_join(left_side, right_side, same, match) -%}
    {% set write = adapter.dispatch('_as_asof_left_join', 'cdesk') %}
    {{ return(write(left_side, right_side, same, match)) }}
{%- endmacro %}

{% macro default___as_asof_left_join(left_side, right_side, same, match) -%}
    {{ return(
        'from ' ~ left_side ~ ' as c\n    asof left join ' ~ right_side ~ ' as a\n        on '
        ~ same ~ ' and ' ~ match
    ) }}
{%- endmacro %}

{% macro snowflake___as_asof_left_join(left_side, right_side, same, match) -%}
    {{ return(
        'from ' ~ left_side ~ ' as c\n    asof join ' ~ right_side
        ~ ' as a\n        match_condition (' ~ match ~ ')\n        on ' ~ same
    ) }}
{%- endmacro %}
