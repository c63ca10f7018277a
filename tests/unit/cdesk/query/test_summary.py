"""What a summary says of a whole result: right figures, bounded size, whatever the rows hold."""

from __future__ import annotations

import statistics
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.query import summary
from cdesk.query.summary import DISTINCT, SUMMARY_BYTES, summary_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def columns(table: pa.Table, rows: int = 7) -> dict[str, dict[str, Any]]:
    """By name, as the batches of a query bring them."""
    found = summary_of(table.schema, table.to_batches(max_chunksize=rows))
    assert found["rows"] == table.num_rows
    return {column["name"]: column for column in found["columns"]}


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=60))
def test_integers_are_summed_up_exactly(values: list[int | None]) -> None:
    found = columns(pa.table({"n": pa.array(values, pa.int64())}))["n"]
    known = [value for value in values if value is not None]
    assert found["nulls"] == len(values) - len(known)
    if not known:
        assert "min" not in found
        return
    assert [int(found[name]) for name in ("min", "max", "sum")] == [min(known), max(known), sum(known)]  # fmt: skip
    assert found["distinct"] == len(set(known))
    assert found["mean"] == pytest.approx(sum(known) / len(known), rel=2e-3, abs=1e-3)
    counts = Counter(known)
    for value, count in found.get("frequent", []):
        assert counts[int(value)] == count > 1
    assert len(found.get("frequent", [])) == min(3, sum(n > 1 for n in counts.values()))


def test_each_type_says_what_it_can() -> None:
    nan = float("nan")
    found = columns(
        pa.table(
            {
                "text": ["a", "b", "b", None],
                "yes": [True, True, False, None],
                "share": [0.5, nan, float("inf"), 1.5],
                "money": pa.array([Decimal("1.10"), Decimal("2.20"), None, None]),
                "day": [date(2026, 1, 1), date(2026, 1, 3), None, date(2026, 1, 2)],
                "list": [[1], [2], None, []],
                "nothing": [None] * 4,
                "kind": pa.array(["x", "x", "y", None]).dictionary_encode(),
            }
        )
    )
    assert found["text"] == {"name": "text", "type": "string", "nulls": 1, "distinct": 2, "min": "a", "max": "b", "frequent": [["b", 2]]}  # fmt: skip
    assert found["yes"]["frequent"] == [[True, 2]]
    assert (found["share"]["min"], found["share"]["max"], found["share"]["sum"], found["share"]["mean"]) == (0.5, 1.5, 2.0, 1.0)  # fmt: skip
    assert (found["money"]["sum"], found["money"]["mean"]) == (3.3, 1.65)
    assert (found["day"]["min"], found["day"]["max"]) == ("2026-01-01", "2026-01-03")
    assert found["list"] == {"name": "list", "type": "array", "nulls": 1}
    assert found["nothing"]["nulls"] == 4
    assert found["kind"]["frequent"] == [["x", 2]]


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ([10 + n for n in range(30)], "rising"),
        ([100 - n for n in range(30)], "falling"),
        ([7] * 30, "steady"),
        ([5, 9] * 15, "steady"),
    ],
)
def test_a_trend_is_that_of_a_line_through_all_rows_in_any_order(
    values: list[int], direction: str
) -> None:
    moments = [START + timedelta(days=n) for n in range(30)]
    for step in (1, -1):
        trend = columns(pa.table({"day": moments[::step], "n": values[::step]}))["n"]["trend"]
        assert (trend["over"], trend["direction"]) == ("day", direction)
        slope, _ = statistics.linear_regression(range(30), values)
        if direction != "steady":
            assert trend["change"] == pytest.approx(slope * 29 / statistics.mean(values), rel=1e-3)
            assert abs(trend["fit"]) == pytest.approx(1)


def test_values_too_many_to_tell_apart_are_said_to_be() -> None:
    table = pa.table({"id": [str(n) for n in range(DISTINCT + 1)], "n": range(DISTINCT + 1)})
    found = columns(table, rows=1_000)
    assert found["id"]["distinct_over"] == DISTINCT
    assert "distinct" not in found["id"]
    assert found["n"]["sum"] == DISTINCT * (DISTINCT + 1) // 2


@pytest.mark.parametrize(
    "table",
    [
        pa.table([[1, 2]] * 200, names=[f"column_{n}" for n in range(200)]),
        pa.table({f"{'n' * 300}{n}": ["\U0001f600" * 100_000, "\x00" * 99] for n in range(40)}),
        pa.table([[1], [2]], names=["twice", "twice"]),
    ],
    ids=["200 columns", "long texts", "one name twice"],
)
def test_it_keeps_its_size_and_says_what_it_left_out(table: pa.Table) -> None:
    found = summary_of(table.schema, table.to_batches())
    assert len(orjson.dumps(found)) <= SUMMARY_BYTES
    assert len(found["columns"]) + found.get("left_out", 0) == table.num_columns
    assert found["columns"]


UNUSUAL = {
    "unsigned": pa.array([2**64 - 1, 1, None], pa.uint64()),
    "half": pa.array([1.0, 2.0, None], pa.float32()).cast(pa.float16()),
    "wide decimal": pa.array([Decimal("1" * 50), None, None], pa.decimal256(60, 2)),
    "view": pa.array(["a", "b", None], pa.string_view()),
    "interval": pa.array([(1, 2, 3), None, None], pa.month_day_nano_interval()),
    "map": pa.array([[("a", 1)], None, None], pa.map_(pa.string(), pa.int64())),
    "overflow": pa.array([1e308, 1e308, -5e-324]),
    "no number": pa.array([float("nan"), float("inf"), float("-inf")]),
    "ends of the calendar": pa.array([datetime(9999, 12, 31), datetime(1, 1, 1), None]),  # noqa: DTZ001
    "for ever": pa.array([2**63 - 1, 1 - 2**63, None], pa.timestamp("us")),
    "nanoseconds": pa.array([2**63 - 1, 0, None], pa.timestamp("ns")),
    "a day that is none": pa.array([2**31 - 1, 0, None], pa.date32()),
    "identifier": pa.array([b"0" * 16] * 3, pa.uuid()),
    "a million characters": pa.array(["x" * 10**6, "y", None]),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_whatever_an_engine_answers_the_answer_has_a_summary(name: str) -> None:
    days = [START, START + timedelta(days=1), START + timedelta(days=2)]
    for columns in ({"x": UNUSUAL[name]}, {"at": days, "x": UNUSUAL[name]}, {"x": UNUSUAL[name], "n": [1, 2, 3]}):  # fmt: skip
        table = pa.table(columns)
        found = summary_of(table.schema, table.to_batches())
        assert orjson.loads(orjson.dumps(found)) == found, "no NaN has become a null"
        assert [column["name"] for column in found["columns"]] == list(columns)
        x = next(column for column in found["columns"] if column["name"] == "x")
        assert x["nulls"] == UNUSUAL[name].null_count


def test_decimals_are_summed_up_to_the_last_digit() -> None:
    nines = Decimal("9" * 38)
    found = columns(pa.table({"n": pa.array([nines, nines], pa.decimal128(38, 0))}))["n"]
    assert found["sum"] == str(2 * int(nines))


def test_no_rows_no_figures() -> None:
    found = columns(
        pa.table({"n": pa.array([], pa.int64()), "at": pa.array([], pa.timestamp("us"))})
    )
    assert found["n"] == {"name": "n", "type": "integer", "nulls": 0}


# -- to the letter


def test_a_summary_is_what_its_page_says() -> None:
    moments = [START + timedelta(days=n) for n in range(6)]
    table = pa.table(
        {
            "label": ["b", "a", "b", "c", "a", None],
            "on": [True, None, True, False, True, True],
            "period_start": moments,
            "n": [1, 2, 3, 4, 5, 21],
        }
    )
    assert summary_of(table.schema, table.to_batches(max_chunksize=4)) == {
        "rows": 6,
        "columns": [
            {
                "name": "label",
                "type": "string",
                "nulls": 1,
                "distinct": 3,
                "min": "a",
                "max": "c",
                "frequent": [["a", 2], ["b", 2]],
            },
            {
                "name": "on",
                "type": "boolean",
                "nulls": 1,
                "distinct": 2,
                "frequent": [[True, 4]],
            },
            {
                "name": "period_start",
                "type": "timestamp",
                "nulls": 0,
                "distinct": 6,
                "min": "2026-01-01T00:00:00.000000Z",
                "max": "2026-01-06T00:00:00.000000Z",
            },
            {
                "name": "n",
                "type": "integer",
                "nulls": 0,
                "distinct": 6,
                "min": 1,
                "max": 21,
                "sum": 36,
                "mean": 6.0,
                "trend": {
                    "over": "period_start",
                    "direction": "rising",
                    "fit": 0.7857,
                    "change": 2.619,
                },
            },
        ],
    }


def test_values_of_the_same_count_come_in_the_order_of_their_text_and_three_of_them() -> None:
    values = ["d", "c", "b", "a", "e"] * 2 + ["e"]
    found = columns(pa.table({"x": values}), rows=2)["x"]
    assert found["frequent"] == [["e", 3], ["a", 2], ["b", 2]]


def test_names_and_texts_are_cut_to_forty_characters() -> None:
    table = pa.table({"n" * 41: ["x" * 40, "x" * 40, "y" * 41]})
    [found] = columns(table).values()
    assert found["name"] == "n" * 40
    assert found["frequent"] == [["x" * 40, 2]]
    assert (found["min"], found["max"]) == ("x" * 40, "y" * 40 + "…")
    days = pa.table({"d" * 41: [date(2026, 1, n) for n in (1, 2, 3)], "n": [1, 2, 3]})
    assert columns(days)["n"]["trend"]["over"] == "d" * 40


@pytest.mark.parametrize("more", [0, 1])
def test_so_many_values_are_told_apart_and_no_more(more: int) -> None:
    found = columns(pa.table({"n": [*range(DISTINCT + more), 7, None]}), rows=3_000)["n"]
    if more:
        assert (found["distinct_over"], "distinct" in found) == (DISTINCT, False)
        assert "frequent" not in found
    else:
        assert (found["distinct"], "distinct_over" in found) == (DISTINCT, False)
        assert found["frequent"] == [[7, 2]]
    assert found["nulls"] == 1


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0.0, 0.0),
        (0.123456, 0.1235),
        (-0.123456, -0.1235),
        (0.99996, 1.0),
        (1.0, 1.0),
        (1.23456, 1.235),
        (-12.3456, -12.35),
        (123.456, 123.5),
        (1234.56, 1235.0),
        (123456.7, 123457.0),
        (float("nan"), 0.0),
        (float("inf"), 0.0),
    ],
)
def test_an_estimate_has_four_digits_or_all_before_the_point(value: float, rounded: float) -> None:
    assert summary._rounded(value) == rounded


def test_shown_numbers_have_twelve_digits() -> None:
    found = columns(pa.table({"x": [0.1, 0.2, 1 / 3]}))["x"]
    assert (found["min"], found["max"]) == (0.1, 0.333333333333)
    assert found["sum"] == 0.633333333333


def line(ys: list[Any], days: list[Any] | None = None) -> dict[str, Any] | None:
    moments = [None if n is None else START + timedelta(days=n) for n in days or range(len(ys))]
    table = pa.table({"at": pa.array(moments, pa.timestamp("us", "UTC")), "n": pa.array(ys)})
    trends = [columns(table, rows=rows)["n"].get("trend") for rows in (1, 2, 100)]
    assert trends[0] == trends[1] == trends[2], "however the rows come"
    found: dict[str, Any] | None = trends[0]
    return found


@pytest.mark.parametrize(
    ("ys", "days", "trend"),
    [
        ([1.0, 2.0], None, None),
        ([1.0, 2.0, 3.0], None, ("rising", 1.0, 1.0)),
        ([3.0, 2.0, 1.0], None, ("falling", -1.0, -1.0)),
        ([1.0, 2.0, 3.0], [5, 5, 5], None),
        ([1.0, 2.0, 3.0], [0, 0, 7], ("rising", 0.866, 0.75)),
        ([7.0, 7.0, 7.0], None, ("steady", 0.0, None)),
        ([0.0, 0.0, 0.0], None, ("steady", 0.0, None)),
        ([-1.0, 0.0, 1.0], None, ("rising", 1.0, None)),
        ([-3.0, -2.0, -1.0], None, ("rising", 1.0, 1.0)),
        ([1.0, None, float("nan"), float("inf"), 2.0], None, None),
        ([1.0, None, 3.0, 4.0], None, ("rising", 1.0, 1.125)),
        ([1.0, 9.0, 3.0, 4.0], [0, None, 2, 3], ("rising", 1.0, 1.125)),
        ([9.0, 1.0, 2.0, 3.0], [None, 0, 1, 2], ("rising", 1.0, 1.0)),
    ],
)
def test_a_trend_is_the_line_through_all_points_that_there_are(
    ys: list[Any], days: list[Any] | None, trend: tuple[str, float, float | None] | None
) -> None:
    found = line(ys, days)
    if trend is None:
        assert found is None
        return
    direction, fit, change = trend
    assert found == {
        "over": "at",
        "direction": direction,
        "fit": fit,
        **({} if change is None else {"change": change}),
    }


@pytest.mark.parametrize(("last", "direction"), [(4.4, "rising"), (4.0, "steady")])
def test_a_weak_correlation_is_no_direction(last: float, direction: str) -> None:
    ys = [1.0, 5.0, 2.0, 1.0, 5.0, 2.0, last]
    for sign in (1, -1):
        found = line([sign * y for y in ys])
        assert found is not None
        rho = statistics.correlation(range(7), [sign * y for y in ys])
        assert found["fit"] == pytest.approx(rho, abs=1e-4)
        expected = direction if direction == "steady" or sign == 1 else "falling"
        assert found["direction"] == expected
    assert (abs(rho) >= 0.3) == (direction == "rising")


def test_a_correlation_of_exactly_three_tenths_is_clear() -> None:
    found = line([8.0, 10.0, 12.0, 11.0, 9.0])
    assert found is not None
    assert (found["direction"], found["fit"]) == ("rising", 0.3)


def test_the_first_column_of_moments_is_what_trends_are_over() -> None:
    days = [date(2026, 1, n) for n in (1, 2, 3)]
    table = pa.table({"n": [1, 2, 3], "first": days, "second": days[::-1], "t": ["a", "b", "c"]})
    found = columns(table)
    assert (found["n"]["trend"]["over"], found["n"]["trend"]["direction"]) == ("first", "rising")
    assert all("trend" not in found[name] for name in ("first", "second", "t"))
    assert "trend" not in columns(pa.table({"n": [1, 2, 3]}))["n"]


@pytest.mark.parametrize("size", [2**60, 2**61, 2**62 - 1, 2**62, 2**63 - 1])
def test_integers_of_any_size_are_summed_up_to_the_last_digit(size: int) -> None:
    for values in ([size, 1, None], [-size, -1, 0], [size, size], [-(2**63), size]):
        found = columns(pa.table({"n": pa.array(values, pa.int64())}), rows=9)["n"]
        assert int(found["sum"]) == sum(value or 0 for value in values)


def test_what_cannot_be_computed_ends_what_is_said_of_that_column_alone() -> None:
    rows = [pa.array([2**63 - 1, 1], pa.timestamp("us")), pa.array([1, 2], pa.int64())]
    batches = [pa.record_batch(rows, names=["at", "n"])] * 2
    found = summary_of(batches[0].schema, batches)
    assert found["rows"] == 4
    assert [column["nulls"] for column in found["columns"]] == [0, 0]
    assert found["columns"][1]["sum"] == 6
    assert "min" not in found["columns"][0]


def test_where_it_would_be_too_large_it_says_less_in_an_order() -> None:
    """First the values, then trends, means and counts, at last whole columns from the end."""
    names = ("frequent", "trend", "mean", "distinct", "distinct_over")
    for kept in range(len(names) + 1):
        # Sizes so that what is left without the first `kept` fits.
        left = dict.fromkeys(names[kept:], "x")
        gone = dict.fromkeys(names[:kept], "x" * 2_000)
        columns_ = [{"name": "a", "nulls": 0, **gone, **left}, {"name": "b", **left}]
        found = summary._within(7, columns_)
        assert found == {"rows": 7, "columns": [{"name": "a", "nulls": 0, **left}, {"name": "b", **left}]}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "size", "left"),
    [(3, 600, 3), (4, 600, 3), (20, 600, 3), (1, 9_000, 0), (16, 150, 12)],
)
def test_columns_are_left_out_from_the_end_until_the_rest_fits(
    count: int, size: int, left: int
) -> None:
    given: list[dict[str, Any]] = [{"name": f"{n}" + "x" * size} for n in range(count)]
    found = summary._within(7, given)
    assert len(orjson.dumps(found)) <= SUMMARY_BYTES
    assert found["columns"] == given[:left]
    assert found.get("left_out", 0) == count - left


def test_exactly_as_much_as_there_is_room_for_stays() -> None:
    for more in (0, 1):
        column = {"name": "a", "frequent": ""}
        room = SUMMARY_BYTES - len(orjson.dumps({"rows": 7, "columns": [column]}))
        column["frequent"] = "x" * (room + more)
        found = summary._within(7, [column])
        assert ("frequent" in found["columns"][0]) is (more == 0)
