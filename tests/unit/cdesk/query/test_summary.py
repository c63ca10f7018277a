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
