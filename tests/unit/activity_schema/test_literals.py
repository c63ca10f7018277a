"""What a filter may be compared with, as a literal of its value's type: each type, and each part of
a day and a time on both sides of its edge.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from dbt.exceptions import CompilationError

from tests.unit.activity_schema.rendering import Renderer

LEAP, COMMON = (2024, 2000, 1600), (2023, 2100, 1900)
LONG, SHORT = (1, 3, 5, 7, 8, 10, 12), (4, 6, 9, 11)
DAYS = [
    "0001-01-01",
    "9999-12-31",
    *(f"{year}-02-29" for year in LEAP),
    *(f"{year}-02-28" for year in COMMON),
    *(f"2026-{month:02}-31" for month in LONG),
    *(f"2026-{month:02}-30" for month in SHORT),
]
NO_DAYS = [
    "0000-01-01",
    *(f"{year}-02-30" for year in LEAP),
    *(f"{year}-02-29" for year in COMMON),
    *(f"2026-{month:02}-32" for month in LONG),
    *(f"2026-{month:02}-31" for month in SHORT),
    *("2026-00-10", "2026-13-10", "2026-01-00"),
]
NOT_SPELT_SO = ["2026-1-01", "26-01-01", "2026/01/01", "x2026-01-01", "2026-01-01\n", "today", ""]
TIMES = ["00:00", "23:59", "23:59:59", "00:00:00.1", "12:30:15.123456"]
NO_TIMES = ["24:00", "23:60", "23:59:60", "25:00:00"]
NOT_A_TIME = ["1:00", "12", "12:00:00.", "12:00:00.1234567", "12:00Z", "12:00:00+01"]


def literal(render: Renderer, kind: str, operand: Any) -> str:
    return str(render.macro("_as_literal")("here", {"name": "x", "type": kind}, operand))


def refused(render: Renderer, kind: str, operand: Any, allowed: str) -> None:
    with pytest.raises(CompilationError, match=re.escape(allowed)):
        literal(render, kind, operand)


@pytest.mark.parametrize(
    ("kind", "taken", "left", "allowed"),
    [
        ("integer", {0: "0", -7: "-7"}, [True, "1", None], "a number (integer)"),
        ("number", {0: "0", 1.5: "1.5", -7: "-7"}, [False, "1", None], "a number (number)"),
        ("boolean", {True: "true", False: "false"}, ["true", None], "true or false"),
        ("string", {"a": "'a'", "it's": "'it''s'", "": "''"}, [1, True, None], "text"),
    ],
)
def test_a_literal_is_of_its_values_type(
    render: Renderer, kind: str, taken: dict[Any, str], left: list[Any], allowed: str
) -> None:
    assert {one: literal(render, kind, one) for one in taken} == taken
    for operand in left:
        refused(render, kind, operand, allowed)
    assert literal(render, kind, {"sql": "another.column"}) == "another.column"


def test_an_integer_has_no_fraction(render: Renderer) -> None:
    refused(render, "integer", 1.0, "an integer")
    refused(render, "integer", 1.5, "an integer")


def test_a_day_is_one_of_the_calendar(render: Renderer) -> None:
    for day in DAYS:
        assert literal(render, "date", day) == f"cast('{day}' as date)"
        assert literal(render, "timestamp", day) == f"cast('{day} 00:00:00' as timestamp)"
    for day in NO_DAYS:
        refused(render, "date", day, "a day and time of the calendar")
        refused(render, "timestamp", day, "a day and time of the calendar")
    for text in NOT_SPELT_SO:
        refused(render, "date", text, "a date, YYYY-MM-DD")
        refused(render, "timestamp", text, "a UTC timestamp")
    refused(render, "date", "2026-01-01 00:00", "a date, YYYY-MM-DD")
    for kind in ("date", "timestamp"):
        refused(render, kind, 20260101, "text")


def test_a_time_is_one_of_the_clock(render: Renderer) -> None:
    for time in TIMES:
        for between in (" ", "T"):
            found = literal(render, "timestamp", f"2026-01-31{between}{time}")
            assert found == f"cast('2026-01-31 {time}' as timestamp)"
    for time in NO_TIMES:
        refused(render, "timestamp", f"2026-01-31 {time}", "a day and time of the calendar")
    for time in NOT_A_TIME:
        refused(render, "timestamp", f"2026-01-31 {time}", "a UTC timestamp")
