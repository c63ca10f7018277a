{#
    The one way for a session to land: a procedure with its owner's rights, so that a loader needs
    no INSERT on `landing` and cannot say who it is. current_user() is the caller's all the same: an
    owner's rights procedure changes the role, not the user.
    https://docs.snowflake.com/en/developer-guide/stored-procedure/stored-procedures-rights

    lines: JSON text, an array of [id, kind, payload as text, source_file, source_offset].
    same_landing: the stamp that an earlier call of the same transaction answered, so that all of
    them share one `landed_at`; one older than ten minutes is not believed. Null for a new landing.
    Returns the stamp and the latest one before it, with a bar between.

    An insert takes no lock that others wait for; a MERGE does, and past 20 waiting statements
    Snowflake refuses. Two that send the same lines at once may both land them: staging counts an id
    once. https://docs.snowflake.com/en/sql-reference/transactions#resource-locking
    Lines are looked for among the recent ones only, which prunes. 'd': of a key that stands twice
    the last value counts, as where the record was checked.
#}
{% macro land_lines_sql(name, landing) -%}
create or replace procedure {{ name }}(lines varchar, same_landing varchar)
returns varchar
language sql
execute as owner
as
$$
begin
    let previous timestamp_ntz := (
        select max(landed_at) from {{ landing }} where landed_at >= dateadd(day, -3, sysdate())
    );
    let given timestamp_ntz := (select try_cast(:same_landing as timestamp_ntz));
    let stamp timestamp_ntz := (
        select
            case
                when :given >= dateadd(minute, -10, sysdate())
                    and :given <= dateadd(minute, 1, sysdate())
                    then :given
                else greatest(sysdate(), coalesce(dateadd(microsecond, 1, :previous), sysdate()))
            end
    );
    insert into {{ landing }}
        (id, kind, payload, source_file, source_offset, landed_at, landed_by)
    select
        cast(get(line.value, 0) as varchar),
        cast(get(line.value, 1) as varchar),
        parse_json(cast(get(line.value, 2) as varchar), 'd'),
        cast(get(line.value, 3) as varchar),
        cast(get(line.value, 4) as number(38, 0)),
        :stamp,
        current_user()
    from table(flatten(input => parse_json(:lines))) as line
    where not exists (
        select 1
        from {{ landing }} as landed
        where
            landed.landed_at >= dateadd(day, -3, :stamp)
            and landed.id = cast(get(line.value, 0) as varchar)
            and landed.source_file = cast(get(line.value, 3) as varchar)
            and landed.source_offset = cast(get(line.value, 4) as number(38, 0))
    );
    return to_varchar(:stamp, 'YYYY-MM-DD HH24:MI:SS.FF6') || '|'
        || coalesce(to_varchar(:previous, 'YYYY-MM-DD HH24:MI:SS.FF6'), '');
end
$$
{%- endmacro %}
