{#
    Written by the macro `erase` alone; a build makes the table and adds nothing. A full refresh
    must not empty it: what it keeps out may still lie in somebody's queue.
#}
{{ config(incremental_strategy='append', full_refresh=false) }}

select
    cast(null as {{ dbt.type_string() }}) as erasure_id,
    cast(null as {{ dbt.type_string() }}) as customer_hash,
    cast(null as {{ dbt.type_timestamp() }}) as erased_at,
    cast(null as {{ dbt.type_string() }}) as hash_key
where false
