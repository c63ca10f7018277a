"""The calendar's units of a series, its gaps, and the words for its span."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdesk_app.render.over_time import _day, _span, _step_of, _with_gaps

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def step(apart: timedelta, count: int, *, is_raw: bool = False, is_date: bool = False) -> str:
    high = BEGIN + apart * (count - 1)
    return _step_of(BEGIN, high, count, is_raw=is_raw, is_date=is_date)


@pytest.mark.parametrize(
    ("apart", "count", "unit"),
    [
        (timedelta(seconds=1), 30, "minute"),
        (timedelta(minutes=1), 401, "minute"),
        (timedelta(minutes=1), 402, "hour"),
        (timedelta(seconds=114), 30, "minute"),
        (timedelta(seconds=115), 30, "hour"),
        (HOUR, 3, "hour"),
        (HOUR, 401, "hour"),
        (HOUR, 402, "day"),
        (HOUR * 2, 9, "day"),
        (DAY, 30, "day"),
        (DAY, 402, "week"),
        (DAY * 7, 12, "week"),
        (DAY * 30, 12, "month"),
        (DAY * 91, 8, "quarter"),
        (DAY * 365, 8, "year"),
        (DAY * 3_650, 8, "year"),
    ],
)
def test_a_series_is_by_the_unit_of_its_points(apart: timedelta, count: int, unit: str) -> None:
    assert step(apart, count) == unit


def test_what_happened_is_counted_by_at_most_sixty_units_and_days_by_no_hour() -> None:
    assert step(timedelta(minutes=1), 61, is_raw=True) == "minute"
    assert step(timedelta(minutes=1), 62, is_raw=True) == "hour"
    assert step(DAY * 365, 100, is_raw=True) == "year"
    assert step(timedelta(minutes=1), 5, is_date=True) == "day"
    assert step(timedelta(0), 1) == "minute"


def points(*hours: int, **more: float) -> list[dict[str, Any]]:
    return [
        {"t": (BEGIN + HOUR * n).strftime("%Y-%m-%dT%H:%M:%S"), "s": "x", "v": 7.0, **more}
        for n in hours
    ]


def test_gaps_are_zero_where_units_have_a_length() -> None:
    given = points(0, 2, 3, b=5.0)
    filled = _with_gaps(given, "hour")
    assert [(point["v"], point["b"], point["s"]) for point in filled] == [
        (7.0, 5.0, "x"), (0.0, 0.0, "x"), (7.0, 5.0, "x"), (7.0, 5.0, "x"),
    ]  # fmt: skip
    assert filled[1]["t"] == "2026-01-05T01:00:00"
    assert "b" not in _with_gaps(points(0, 2), "hour")[1]
    for kept, unit in (
        (given, "month"),
        (points(0), "hour"),
        (points(0, 401), "hour"),
        ([*points(0, 2), {"t": "2026-01-05T02:30:00", "v": 1.0}, *points(3)], "hour"),
    ):
        assert _with_gaps(kept, unit) is kept
    assert len(_with_gaps(points(0, 400), "hour")) == 401


@pytest.mark.parametrize(
    ("params", "unit", "said"),
    [
        ({"days_back": 1}, "day", "1 day"),
        ({"days_back": 30, "hours_back": 5}, "day", "30 days"),
        ({"hours_back": 24}, "hour", "24 hours"),
        ({"hours_back": 48}, "hour", "2 days"),
        ({"hours_back": 49}, "hour", "49 hours"),
        ({"hours_back": "48"}, "hour", "25 hours"),
        ({}, "hour", "25 hours"),
        ({}, "day", "2 days"),
    ],
)
def test_a_span_is_told_as_it_was_asked_for(params: dict[str, Any], unit: str, said: str) -> None:
    assert _span(points(0, 24), unit, params) == said


def test_a_moment_is_told_by_its_unit() -> None:
    told = {unit: _day("2026-01-05T09:05:00", unit) for unit in ("minute", "hour", "day", "week")}
    assert set(told.values()) == {"5 Jan 09:05", "5 Jan 2026"}
    assert (told["minute"], told["week"]) == ("5 Jan 09:05", "5 Jan 2026")
    assert [_day("2026-01-05T00:00:00", unit) for unit in ("month", "quarter", "year")] == [
        *("Jan 2026", "Jan 2026", "2026"),
    ]
