"""The calendar's units of a series, its gaps, and the words for its span."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdesk_app.render.chart import Chart
from cdesk_app.render.charts import chart_of
from cdesk_app.render.locales import PLAIN
from cdesk_app.render.over_time import Trend, _day, _span, _step_of, _with_gaps, trend_of
from cdesk_app.render.table import Table
from cdesk_app.render.words import use_locale

Write = Callable[[dict[str, Any]], bytes]
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def write() -> Write:
    """A stored result of columns."""

    def make(columns: dict[str, Any]) -> bytes:
        pq.write_table(pa.table(columns), sink := pa.BufferOutputStream())
        return sink.getvalue().to_pybytes()

    return make


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
        (timedelta(seconds=115), 2, "hour"),
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
    assert [len(_with_gaps(points(0, end), unit)) for end, unit in ((2, "hour"), (336, "week"))] == [
        3, 3,
    ]  # fmt: skip
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
    long = [_day("2026-01-05T00:00:00", unit) for unit in ("month", "quarter", "year")]
    assert long == ["Jan 2026", "Jan 2026", "2026"]
    use_locale("de-DE")
    try:
        units = ("minute", "hour", "day", "week", "month", "quarter", "year")
        assert [_day("2026-01-05T09:05:00", unit) for unit in units] == [
            *("05.01.2026, 09:05", "05.01.2026, 09:05", "05.01.2026", "05.01.2026"), *long,
        ]  # fmt: skip
    finally:
        use_locale(PLAIN)


# -- charts of stored results


def chart(write: Write, zone: str = "UTC", /, **columns: Any) -> tuple[Chart, list[Any]]:
    """The chart of these columns, and its points."""
    made = chart_of(Table(write(columns)), {}, ZoneInfo(zone))
    return made, made.spec["data"]["values"] if made.spec else []


def each(step: timedelta, *places: float) -> list[datetime]:
    return [BEGIN + step * place for place in places]


def test_a_count_is_told_with_its_halves_its_ends_and_its_mean(write: Write) -> None:
    made, found = chart(write, day=each(DAY, 0, 1, 2, 3), calls=[2, 1, 3, 6])
    assert made.headline == "12 calls in 4 days, 200 % more in the second half than in the first"
    assert made.finding == (
        "Highest at 6 (8 Jan 2026), lowest at 1 (6 Jan 2026); 3 a day on average."
    )
    assert made.alt == f"Area chart of calls by day over 4 days. {made.headline}. {made.finding}"
    assert made.totals == (("total", "12"), ("mean a day", "3"))
    assert set(found[0]) == {"t", "s", "v"}, "nothing of a time before"
    assert [(point["t"][:10], point["v"]) for point in found] == [
        ("2026-01-05", 2.0), ("2026-01-06", 1.0), ("2026-01-07", 3.0), ("2026-01-08", 6.0),
    ]  # fmt: skip
    assert made.spec is not None
    area, *_, words = made.spec["layer"]
    assert area["encoding"]["y"]["title"] == "calls"
    assert area["encoding"]["x"]["axis"]["format"] == "%-d %b"
    assert (words["mark"]["text"], words["encoding"]["y"]["datum"]) == ("mean 3", 3.0)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([2, 2, 2, 2], ", as many in the second half as in the first"),
        ([1, 1, 9, 2, 2], ", 100 % more in the second half than in the first"),
        ([4, 4, 0, 1, 1], ", 75 % fewer in the second half than in the first"),
        ([1, 2, 9], ""),
        ([0, 0, 3, 3], ""),
    ],
)
def test_halves_are_compared_where_each_has_two_moments(
    counts: list[int], said: str, write: Write
) -> None:
    made, _ = chart(write, day=each(DAY, *range(len(counts))), calls=counts)
    assert made.headline == f"{sum(counts)} calls in {len(counts)} days{said}"


def test_what_is_not_added_up_is_told_by_its_latest_and_its_mean(write: Write) -> None:
    made, found = chart(write, day=each(DAY, 0, 1, 3), latency_ms=[10, 30, 20])
    assert made.headline == "latency (ms): 20 most recently, 20 on average over 4 days"
    assert made.finding == "Highest at 30 (6 Jan 2026), lowest at 10 (5 Jan 2026)."
    assert (made.totals, len(found)) == ((), 3), "no day is made up"


def test_a_time_before_is_added_up_with_its_own_gaps(write: Write) -> None:
    made, found = chart(write, day=each(DAY, 0, 1, 3), calls=[1, 2, 3], calls_before=[4, None, 8])
    assert [point["b"] for point in found] == [4.0, 0.0, 0.0, 8.0]
    assert made.headline == "6 calls in 4 days, 50 % fewer than the 4 before"
    assert made.finding.endswith("; 1.5 a day on average. 12 in the 4 days before.")
    assert made.alt.startswith(
        "Area chart, with a line for the time before, of calls by day over 4 days. 6 calls"
    )
    assert made.spec is not None
    assert made.spec["layer"][-1]["mark"]["text"] == "– – the 4 days before"


NAMES = ["a", "cdesk.user_asked"] * 3


def test_lines_are_in_the_order_of_their_sums(write: Write) -> None:
    at = sorted(each(DAY, 0, 1, 2) * 2)
    made, found = chart(write, day=at, name=NAMES, calls=[1, 2, 2, 3, 1, 1])
    assert made.headline == "10 calls in 3 days, 60 % of them user asked"
    assert made.finding == "user asked 6; a 4."
    assert made.alt == (
        "Line chart of calls by day, one line each for user asked and a. "
        f"{made.headline}. {made.finding}"
    )
    assert made.totals == (("total", "10"),)
    assert [(point["s"], point["v"]) for point in found] == [
        *(("user asked", v) for v in (2.0, 3.0, 1.0)), *(("a", v) for v in (1.0, 2.0, 1.0)),
    ]  # fmt: skip
    assert made.spec is not None
    encoding = made.spec["encoding"]
    assert encoding["y"]["title"] == "calls"
    assert encoding["x"]["axis"]["format"] == "%-d %b"
    assert encoding["color"]["field"] == "s"


def test_lines_that_are_not_added_up_are_told_by_their_means(write: Write) -> None:
    at = sorted(each(DAY, 0, 1, 2) * 2)
    made, _ = chart(write, day=at, name=NAMES, latency_ms=[10, 20, 20, 30, 30, 40])
    assert made.headline == "latency (ms) by name over 3 days: user asked is highest"
    assert made.finding == "user asked 30 on average; a 20 on average."
    assert made.totals == ()
    for counts, said in (
        ([0] * 6, "calls by name over 3 days: a is highest"),
        ([0, 0, 1, 0, 0, 0], "1 calls in 3 days, 100 % of them a"),
    ):
        assert chart(write, day=at, name=NAMES, calls=counts)[0].headline == said


def test_minutes_are_told_apart_and_days_begin_where_the_person_is(write: Write) -> None:
    _, found = chart(write, at=each(timedelta(minutes=1), 0, 1, 2), calls=[1, 2, 3])
    assert [(point["t"], point["v"]) for point in found] == [
        (f"2026-01-05T00:0{n}:00", n + 1.0) for n in range(3)
    ]
    # 18:30 in UTC is midnight in Kolkata.
    _, found = chart(write, "Asia/Kolkata", at=each(HOUR, 18.25, 18.5, 42.5, 66.5), calls=[1] * 4)
    assert [(point["t"][:10], point["v"]) for point in found] == [
        ("2026-01-05", 1.0), ("2026-01-06", 1.0), ("2026-01-07", 1.0), ("2026-01-08", 1.0),
    ]  # fmt: skip
    dates = [moment.date() for moment in each(DAY, 0, 1, 2)]
    _, found = chart(write, "Asia/Kolkata", at=dates, calls=[1] * 3)
    assert [point["t"][:10] for point in found] == ["2026-01-05", "2026-01-06", "2026-01-07"]


def test_what_happened_is_counted_and_what_cannot_be_drawn_is_left_out(write: Write) -> None:
    made, found = chart(write, at=each(DAY, 0, 0.1, 1, 3))
    assert [point["v"] for point in found] == [2.0, 1.0, 0.0, 1.0]
    assert (
        made.headline == "4 activities in 4 days, 67 % fewer in the second half than in the first"
    )
    at = each(DAY, 0, 0, 1, 2, 3)
    _, found = chart(write, at=at, price=[1e290, 1e290, 1.0, 2.0, None])
    assert [point["v"] for point in found] == [1e290, 1.0, 2.0]
    _, found = chart(write, at=at, calls=[6e289, 6e289, 1.0, 2.0, 3.0])
    assert [point["v"] for point in found] == [1.0, 2.0, 3.0]


def test_a_span_of_two_hundred_years_is_drawn_and_a_longer_one_is_none(write: Write) -> None:
    for first, kind in ((1826, "series"), (1825, "none")):
        at = [datetime(year, 5, 5, tzinfo=UTC) for year in (first, 1900, 2026)]
        assert chart(write, at=at, calls=[1, 2, 3])[0].kind == kind
    old = [date(999, 1, day) for day in (1, 2, 4)]
    _, found = chart(write, at=old, calls=[1, 2, 3])
    assert [point["t"] for point in found] == [f"0999-01-0{day}T00:00:00" for day in (1, 2, 3, 4)]
    _, found = chart(write, at=each(DAY, *range(60)), calls=range(60))
    assert len(found) == 60


def test_a_trend_is_of_the_measure_asked_for_and_of_three_moments_or_more(write: Write) -> None:
    def trend(measure: str = "calls", **columns: Any) -> Trend | None:
        return trend_of(Table(write(columns)), measure, UTC)

    hours = each(HOUR, 0, 1, 2, 3)
    made = trend(at=hours, calls=[1, 2, 3, 3])
    assert made is not None
    assert (made.step, made.text) == (
        "hour",
        "By hour: highest at 3 (5 Jan 02:00), 100 % more in the second half than in the first.",
    )
    assert made.points == [
        {"t": f"2026-01-05T0{n}:00:00", "v": v} for n, v in enumerate((1.0, 2.0, 3.0, 3.0))
    ]
    equal = trend(at=hours, calls=[2, 2, 2, 2])
    assert equal is not None
    assert equal.text.endswith(", as many in the second half as in the first.")
    new = trend(at=hours, calls=[0, 0, 2, 2])
    assert new is not None
    assert new.text == "By hour: highest at 2 (5 Jan 02:00)."
    three = trend("latency_ms", at=each(HOUR, 0, 1, 3), latency_ms=[1, 2, 3])
    assert three is not None
    assert len(three.points) == 3
    with_gap = trend(at=each(HOUR, 0, 1, 3), calls=[1, 2, 3])
    assert with_gap is not None
    assert len(with_gap.points) == 4
    assert trend("other", at=hours, calls=[1, 2, 3, 3]) is None
    assert trend(at=hours) is None
    assert trend(at=sorted(each(HOUR, 0, 1, 2) * 2), name=NAMES, calls=[1] * 6) is None
