{#
    The condition that `relation`, an incremental model's own table, does not hold a row of `rows`
    yet. `since` bounds them already: repeated here it keeps an engine that pushes nothing through
    an anti join from reading all of history.
#}
{% macro not_held(relation, rows, id, since) -%}
not exists (
        select 1
        from {{ relation }} as known
        where
            known._landed_at >= {{ since }}
            and known._landed_at = {{ rows }}._landed_at
            and known.{{ id }} = {{ rows }}.{{ id }}
    )
{%- endmacro %}
