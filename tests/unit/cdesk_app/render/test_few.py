"""What is worked out of few rows without SQL is what SQL makes of them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk_app.render import categories, over_time, table
from cdesk_app.render.charts import chart_of
from cdesk_app.render.few import by_category, points_of
from cdesk_app.render.few import over_time as over_time_of_few
from cdesk_app.render.shape import Shape
from cdesk_app.render.table import Table

ZONES: Final = [
    UTC,
    *map(ZoneInfo, ("Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe")),
]
STEPS: Final = ("minute", "hour", "day", "week", "month", "quarter", "year")
at = datetime.fromisoformat
moments = st.datetimes(at("1973-01-01"), at("2100-01-01")) | st.datetimes(
    at("2026-03-28"), at("2026-03-30")
)
numbers = st.integers(-10_000, 10_000).map(lambda n: n / 8)
doubles = st.none() | numbers | st.sampled_from((math.nan, math.inf, -math.inf))
names = st.none() | st.sampled_from(("a", "b", "ä", "", "none", "𝕏", "Z"))
COLUMNS: Final[dict[str, Any]] = {
    "moment": (pa.timestamp("us", "UTC"), st.none() | moments),
    "day": (pa.date32(), st.none() | st.dates(date(1973, 1, 1), date(2100, 1, 1))),
    "naive": (pa.timestamp("us"), st.none() | moments),
    "name": (pa.string(), names),
    "is": (pa.bool_(), st.none() | st.booleans()),
    "double": (pa.float64(), doubles),
    "before": (pa.float64(), doubles),
    "whole": (pa.int64(), st.none() | st.integers(-1_000, 1_000)),
    "exact": (
        pa.decimal128(20, 2),
        st.none() | st.integers(-999, 999).map(lambda n: Decimal(n) / 4),
    ),
}
PLACES: Final = {name: place for place, name in enumerate(COLUMNS)}


def in_memory(columns: dict[str, pa.Array]) -> Table:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return Table(sink.getvalue().to_pybytes())


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 12))
    return in_memory(
        {
            name: pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)
            for name, (kind, values) in COLUMNS.items()
        }
    )


def shapes(*times: str) -> st.SearchStrategy[Shape]:
    return st.builds(
        Shape,
        kind=st.just("series"),
        time=st.sampled_from([PLACES[name] for name in times]) if times else st.none(),
        measure=st.sampled_from([PLACES[name] for name in ("double", "whole", "exact")]),
        by=st.sampled_from([PLACES["name"], PLACES["is"]]).map(lambda place: (place,)),
        additive=st.booleans(),
        before=st.none() | st.just(PLACES["before"]) if times else st.none(),
    )


@given(
    tables(),
    shapes("moment", "naive", "day"),
    st.sampled_from(STEPS),
    st.sampled_from(ZONES),
    st.sampled_from(("by", "alone", "events")),
)
def test_points_over_time_are_those_of_sql(
    found: Table, shape: Shape, step: str, zone: tzinfo, kind: str
) -> None:
    if kind != "by":
        shape = Shape("series", shape.time, shape.measure, (), shape.additive, shape.before)
    if kind == "events":
        shape = Shape("events", shape.time)
    assert shape.time is not None
    points = points_of(found, shape)
    assert points is not None
    assert over_time._reach_of(points) == over_time._reach(found, shape)
    is_moment = found.columns[shape.time].type == "timestamp"
    rows = over_time_of_few(points, shape, step, zone if is_moment else None)
    assert rows == over_time._by_step(found, shape, step, zone)


@given(tables(), shapes())
def test_values_by_category_are_those_of_sql(found: Table, shape: Shape) -> None:
    of_few = by_category(found, shape)
    assert of_few is not None
    rows, whole = of_few
    assert rows == categories._by_category(found, shape)
    assert whole == categories._whole(found, shape)


@pytest.mark.parametrize(
    "moment",
    [datetime(1901, 5, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)],
)
def test_moments_of_which_zones_are_told_otherwise_are_left_to_sql(moment: datetime) -> None:
    column = pa.array([moment, None], pa.timestamp("us", "UTC"))
    assert points_of(in_memory({"at": column}), Shape("events", 0)) is None


def test_what_python_has_no_such_values_of_is_left_to_sql() -> None:
    shape = Shape("series", time=0, measure=1, by=(2,))
    moment = pa.array([at("2026-01-01")], pa.timestamp("us"))
    texts, lists = pa.array(["1"]), pa.array([[1]])
    assert points_of(in_memory({"t": texts, "v": pa.array([1]), "s": texts}), shape) is None
    assert points_of(in_memory({"t": moment, "v": texts, "s": texts}), shape) is None
    assert points_of(in_memory({"t": moment, "v": pa.array([1]), "s": lists}), shape) is None
    assert by_category(in_memory({"t": moment, "v": texts, "s": texts}), shape) is None
    never = pa.array([2**62], pa.timestamp("us"))
    assert in_memory({"t": never}).few(0) is None
    assert points_of(in_memory({"t": never}), Shape("events", 0)) is None


def test_a_chart_of_few_rows_in_memory_asks_no_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 9)]
    series = {"day": pa.array(days, pa.timestamp("us", "UTC")), "n_count": pa.array(range(8))}
    bars = {"activity": pa.array(["a", "b", "c"]), "n_count": pa.array([3, 2, 1])}
    expected = []
    with monkeypatch.context() as patch:
        patch.setattr(table, "FEW_ROWS", 0)
        for columns in (series, bars):
            expected.append(chart_of(in_memory(columns), {}, UTC))
    monkeypatch.setattr(Table, "aggregate", Mock(side_effect=AssertionError))
    assert [chart_of(in_memory(columns), {}, UTC) for columns in (series, bars)] == expected
    assert [chart.kind for chart in expected] == ["series", "bars"]
