{#
    The rows of `_ingest_ids` whose `id_key` the CTE `keys` names, with what an id was first landed
    with. By the key alone: a lookup by kind, too, reads the kind of every row, so who asks compares
    it. By two lookups: what ids made lately (`since`, as of the macro of that name) are looked for
    in is the end of the table, so that the few from long ago are no reason to read all in between.
#}
{% macro known_ids(relation, keys, since) -%}
    {%- for age in ['>=', '<'] %}
    select
        known.kind,
        known.id,
        known.content_key,
        known.landing_id,
        known.source_file,
        known.source_offset,
        known.landed_at
    from {{ relation }} as known
    inner join {{ keys }} as keys on known.id_key = keys.id_key
    where keys.id_key {{ age }} {{ cdesk.first_fresh_key(since) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
