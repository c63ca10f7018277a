"""The small macros, which say the same on both engines: each on both sides of its edges."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from dbt.exceptions import CompilationError

from tests.unit.governance.account import Account, one_line


def values(local: Account, sql: str, *bound: Any) -> Any:
    assert local.connection is not None
    return local.connection.execute(f"select {sql}", bound).fetchall()[0][0]


JSON = {
    '"x"': {"string"},
    '""': {"string"},
    "1": {"integer", "number"},
    "-1": {"integer", "number"},
    "18446744073709551615": {"integer", "number"},
    "1.0": {"number"},
    "1e2": {"number"},
    "true": {"boolean"},
    "false": {"boolean"},
    "null": {"null"},
    "{}": {"object"},
    "[]": {"array"},
    None: set(),
}


def test_a_json_value_is_of_its_types_alone(local: Account) -> None:
    for kind in ("string", "integer", "number", "boolean", "null", "object", "array"):
        sql = local("json_is", "cast(? as json)", kind)
        found = {text: values(local, sql, text) for text in JSON}
        assert found == {text: kind in kinds for text, kinds in JSON.items()}, kind
    with pytest.raises(CompilationError, match="json_is: type 'text' is none of string, integer,"):
        local("json_is", "value", "text")


@pytest.mark.parametrize(
    ("macro", "found"),
    [
        ("try_bigint", {"1": 1, "-9223372036854775808": -(2**63), "9223372036854775808": None,
                        "x": None, "": None, None: None}),
        ("try_double", {"1.5": 1.5, "1e308": 1e308, "1e400": None, "inf": None, "nan": None,
                        "x": None, None: None}),
        ("exact_integer", {
            "42": 42, "-42": -42, "42.0": 42, "42.": 42, "42.5": None, "9007199254740993": 2**53 + 1,
            "9" * 38: int("9" * 38), "9" * 39: None, "x": None, "": None, None: None,
            "1e16": 10**16, "1e15": None, "4.2e17": 42 * 10**16, "-1e+20": -(10**20),
            "1e36": 10**36, "1e37": None, "1.2345678901234567e16": 12345678901234567,
            "1.23456789012345678e16": None,
        }),
    ],
)  # fmt: skip
def test_a_text_is_a_number_or_null(
    local: Account, macro: str, found: dict[str | None, Any]
) -> None:
    sql = f"{local(macro, 'given')} from (select cast(? as varchar) as given)"
    assert {text: values(local, sql, text) for text in found} == found


def test_the_later_of_two(local: Account) -> None:
    sql = local("later", "cast(? as integer)", "cast(? as integer)")
    sql = sql.replace("?", "{}")

    def later(one: int | None, other: int | None) -> Any:
        given = {True: "null"}
        texts = [given.get(value is None, str(value)) for value in (one, other, one, other, one)]
        return values(local, sql.format(*texts))

    assert [later(1, 2), later(2, 1), later(2, 2), later(1, None), later(None, 1)] == [
        2,
        2,
        2,
        1,
        1,
    ]
    assert later(None, None) is None


def test_elements_come_with_their_place(local: Account) -> None:
    assert local.connection is not None
    local.connection.execute(
        "create table given as select * from (values ('a', '[5, \"x\", null]'::json), ('b', '[]'::json)) "
        "as t (id, list)"
    )
    sql = f"select id, position, element {local('json_elements', 'given', 'list')} order by 1, 2"
    assert local.connection.execute(sql).fetchall() == [
        ("a", 0, "5"), ("a", 1, '"x"'), ("a", 2, None),
    ]  # fmt: skip


def test_a_pattern_matches_somewhere_or_the_whole(local: Account) -> None:
    for text, anywhere, whole in (("ab", True, True), ("xaby", True, False), ("x", False, False)):
        assert values(local, local("contains_match", "?", "ab"), text) is anywhere
        assert values(local, local("matches", "?", "ab"), text) is whole


def test_a_share_is_from_nothing_to_all(local: Account) -> None:
    assert local("percentile", 0, "x") == "percentile_cont(0) within group (order by x)"
    assert local("percentile", 1, "x") == "percentile_cont(1) within group (order by x)"
    for wrong in (-0.01, 1.01):
        with pytest.raises(CompilationError, match=f"share {wrong} is not from 0 to 1"):
            local("percentile", wrong, "x")


def test_a_condition_on_what_may_be_left_out(local: Account) -> None:
    sql = local("equals_if_given", "'a'", "name").replace("?/*name*/", "{0}")
    given = ("null", "'a'", "'b'")
    assert [values(local, sql.format(one)) for one in given] == [True, True, False]


def test_an_analyst_sees_all_rows_and_others_their_own(local: Account) -> None:
    sql = local("caller_rows", "{0}").replace("?/*customer*/", "'ada'")
    sql = sql.replace("?/*is_analyst*/", "{1}")
    assert [values(local, sql.format(who, "false")) for who in ("'ada'", "'bob'")] == [True, False]
    assert [values(local, sql.format(who, "true")) for who in ("'bob'", "null")] == [True, True]


def test_a_span_has_its_start_and_not_its_end(local: Account) -> None:
    sql = local("bound_span", "timestamp '2026-01-02'")
    sql = sql.replace("?/*since*/", "{0}").replace("?/*until*/", "{1}")

    def inside(since: str | None, until: str | None) -> Any:
        quoted = ["null" if one is None else f"'2026-01-{one}'" for one in (since, until)]
        return values(local, sql.format(*quoted))

    assert [inside(one, None) for one in (None, "01", "02", "03")] == [True, True, True, False]
    assert [inside(None, one) for one in ("01", "02", "03")] == [False, False, True]
    assert inside("02", "03") is True


def test_days_of_the_person_from_since_to_until(local: Account) -> None:
    """Half past eleven in the evening of the first is the second in Berlin."""
    sql = local("within_dates", "timestamp '2026-01-01 23:30'").replace("?/*timezone*/", "'{2}'")
    sql = sql.replace("?/*since*/", "{0}").replace("?/*until*/", "{1}")

    def inside(since: int | None, until: int | None, zone: str = "Europe/Berlin") -> Any:
        quoted = ["null" if one is None else f"'2026-01-0{one}'" for one in (since, until)]
        return values(local, sql.format(*quoted, zone))

    assert [inside(one, None) for one in (None, 1, 2, 3)] == [True, True, True, False]
    assert [inside(None, one) for one in (1, 2, 3)] == [False, True, True]
    assert [inside(2, 2), inside(2, 2, "UTC"), inside(1, 1, "UTC")] == [True, False, True]


def test_a_week_begins_on_monday(local: Account) -> None:
    sql = local("iso_weekday", "cast(? as timestamp)")
    days = [date(2026, 3, day) for day in range(1, 15)]
    assert [values(local, sql, day) for day in days] == [day.isoweekday() for day in days]


def test_a_clock_time_as_text(local: Account) -> None:
    instant = "timestamp '2026-01-31 14:59:58'"
    assert values(local, local("clock_text", instant)) == "2026-01-31"
    assert values(local, local("clock_text", instant, True)) == "2026-01-31 14:00"


def test_rows_that_have_the_same_values(local: Account) -> None:
    assert local.connection is not None
    local.connection.execute(
        "create table given as select * from (values (1, 1), (1, 2), (2, 2), (2, 2), (3, 3), (3, 3), (3, 3)) as t (a, b)"
    )
    sql = local("test_unique_together", "given", ["a", "b"])
    assert sorted(local.connection.execute(sql).fetchall()) == [(2, 2, 2), (3, 3, 3)]


def test_a_bind_stands_by_its_name_and_in_its_type(local: Account) -> None:
    assert local("bind", "hours_back") == "?/*hours_back*/"
    assert local("bind_as", "at", "timestamp") == "cast(?/*at*/ as timestamp)"
    assert local("bind_as", "n", "integer") == "cast(?/*n*/ as integer)"
    for name in ("Hours", "1st", "a-b", "a" * 64, ""):
        with pytest.raises(CompilationError, match="is no parameter name"):
            local("bind", name)
    with pytest.raises(CompilationError, match="bind_as: type 'text' is none of integer, varchar"):
        local("bind_as", "n", "text")
    local.variables = {"cdesk__lint": True}
    assert local("bind", "a" * 63) == f"1/*{'a' * 63}*/"


def test_so_many_hours_or_days_back(local: Account) -> None:
    for times, days in (((), 3), ((2,), 6)):
        sql = local("time_back", "day", "n", *times).replace("?/*n*/", "3")
        assert values(local, f"{sql} = {local('utc_now')} - to_days({days})") is True
    with pytest.raises(CompilationError, match="time_back: part 'year' is none of minute, hour"):
        local("time_back", "year", "n")


def test_days_back_include_their_first_moment(local: Account) -> None:
    now, tick = "timestamp '2026-01-08'", "interval 1 microsecond"
    sql = local("within_days_back", "ts").replace("?/*days_back*/", "7")
    sql = sql.replace(local("utc_now"), now)
    found = values(
        local,
        f"list({sql} order by ts) from (select unnest([ts - {tick}, ts, {now}]) as ts "
        f"from (select timestamp '2026-01-01' as ts))",
    )
    assert found == [False, True, True]


def test_the_first_rows_in_their_order(local: Account) -> None:
    assert one_line(local("first_rows", "a, b desc")) == "order by a, b desc limit ?/*limit*/"
    assert local("first_rows", "a", "most").endswith("limit ?/*most*/")
