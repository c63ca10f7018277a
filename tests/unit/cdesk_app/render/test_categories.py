"""What bars, heatmaps, box plots and histograms say of a stored result, and which marks they ask for."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdesk_app.render.categories import draw_bars, draw_boxes, draw_heatmap, draw_histogram
from cdesk_app.render.chart import Chart
from cdesk_app.render.shape import Shape
from cdesk_app.render.table import Table

Drawn = tuple[Chart, dict[str, Any]]
DRAWERS = {
    "bars": draw_bars,
    "heatmap": draw_heatmap,
    "boxes": draw_boxes,
    "histogram": draw_histogram,
}


def draw(shape: Shape, columns: dict[str, Any], **params: Any) -> Chart | None:
    pq.write_table(pa.table(columns), sink := pa.BufferOutputStream())
    table = Table(sink.getvalue().to_pybytes())
    return DRAWERS[shape.kind](table, shape, params, None)  # type: ignore[arg-type]


def require(chart: Chart | None) -> Drawn:
    assert chart is not None
    assert chart.spec is not None
    return chart, chart.spec


def bars(
    names: list[Any], values: list[Any], *, additive: bool = True, **params: Any
) -> Chart | None:
    columns = {"tool_name": names, "call_count": pa.array(values)}
    return draw(Shape("bars", measure=1, by=(0,), additive=additive), columns, **params)


def test_bars_are_sums_from_the_highest_with_the_share_of_the_first() -> None:
    made, spec = require(bars([*"abca", None], [1, 5, 2, 1, 1], days_back=7))
    assert spec["data"]["values"] == [
        {"x": "b", "v": 5.0, "text": "5"},
        {"x": "a", "v": 2.0, "text": "2"},
        {"x": "c", "v": 2.0, "text": "2"},
        {"x": "none", "v": 1.0, "text": "1"},
    ]
    assert made.headline == "b leads with 5 in 7 days: 50 % of 10 in calls"
    assert made.finding == "b 5; a 2; c 2; none 1."
    assert made.alt == (
        f"Bar chart of calls by tool name, highest first. {made.headline}. {made.finding}"
    )
    assert made.totals == (("total", "10"),)
    assert spec["layer"][0]["encoding"]["x"]["title"] == "calls"


@pytest.mark.parametrize(
    ("values", "additive", "headline"),
    [
        ([3, 1], True, "a leads with 3: 75 % of 4 in calls"),
        ([0.5, 0.25], True, "a leads with 0.5: 67 % of 0.75 in calls"),
        ([3, 0], True, "a leads with 3: 100 % of 3 in calls"),
        ([3, -1], True, "a leads with 3 in calls"),
        ([0, 0], True, "a leads with 0 in calls"),
        ([3, 1], False, "a leads with 3 in calls"),
    ],
)
def test_a_share_is_of_a_whole_alone(values: list[float], additive: bool, headline: str) -> None:
    made, _ = require(bars(["a", "b"], values, additive=additive))
    assert made.headline == headline
    assert bool(made.totals) is additive
    asked, _ = require(bars(["a", "b"], values, additive=additive, days_back=1))
    assert " in 1 day" in asked.headline


def test_what_is_not_added_up_is_averaged() -> None:
    _, spec = require(bars(["a", "a", "b"], [1, 3, 5], additive=False))
    assert [(one["x"], one["v"]) for one in spec["data"]["values"]] == [("b", 5.0), ("a", 2.0)]


def test_fifteen_bars_are_shown_and_four_are_told() -> None:
    names = [f"n{n:02}" for n in range(20)]
    made, spec = require(bars(names, [100 - n for n in range(19)] + [-1]))
    assert [one["x"] for one in spec["data"]["values"]] == names[:15]
    assert made.finding == "n00 100; n01 99; n02 98; n03 97; 16 more."
    assert made.headline == "n00 leads with 100 in calls", "one that is not shown is less than none"
    assert require(bars(names[:4], [4, 3, 2, 1]))[0].finding == "n00 4; n01 3; n02 2; n03 1."
    assert require(bars(names[:5], [5, 4, 3, 2, 1]))[0].finding.endswith("n03 2; 1 more.")


def test_bars_of_what_cannot_be_drawn_are_none() -> None:
    assert bars(["a", "b"], [None, math.nan]) is None
    assert bars(["a", "a"], [9e289, 9e289]) is None
    _, spec = require(bars(["a", "b"], [1e290, 1.0]))
    assert [one["x"] for one in spec["data"]["values"]] == ["a", "b"]


GRID = Shape("heatmap", measure=2, by=(0, 1))


def test_a_heatmap_has_a_cell_a_pair_and_names_the_strongest() -> None:
    columns = {
        "weekday": [2, 1, 1, 2],
        "tool_name": ["y", "x", "y", "x"],
        "call_count": [9, 1, 2, 3],
    }
    made, spec = require(draw(GRID, columns))
    assert [(one["y"], one["x"], one["v"], one["strong"]) for one in spec["data"]["values"]] == [
        ("Mon", "y", 2.0, False),
        ("Mon", "x", 1.0, False),
        ("Tue", "y", 9.0, True),
        ("Tue", "x", 3.0, False),
    ]
    assert made.headline == "Tue and y stand out with 9 in calls"
    assert made.finding == "2 rows by 2 columns; the lowest is 1."
    assert made.alt == (
        f"Heatmap of calls by weekday and tool name. {made.headline}. {made.finding}"
    )
    encoding = spec["layer"][0]["encoding"]
    assert (encoding["x"]["title"], encoding["y"]["title"]) == ("tool name", "weekday")
    assert encoding["color"]["title"] == "calls"
    assert encoding["color"]["legend"]["format"] == "~s"


def test_a_heatmap_shows_twenty_rows_and_columns_of_a_day() -> None:
    columns: dict[str, list[Any]] = {"a": [], "b": [], "call_count": []}
    for y in range(22):
        for x in range(26):
            columns["a"].append(f"y{y:02}")
            columns["b"].append(f"x{x:02}")
            columns["call_count"].append(1_000 - 30 * y - x)
    made, spec = require(draw(GRID, columns))
    cells = spec["data"]["values"]
    assert list(dict.fromkeys(one["y"] for one in cells)) == [f"y{n:02}" for n in range(20)]
    assert list(dict.fromkeys(one["x"] for one in cells)) == [f"x{n:02}" for n in range(24)]
    assert len(cells) == 20 * 24
    assert made.finding == "20 rows by 24 columns; the lowest is 345."
    assert (spec["height"], "layer" in spec) == (600, False)
    for count in (10, 11):
        few = {"a": ["y"] * count, "b": [f"x{n}" for n in range(count)], "call_count": [1] * count}
        assert ("layer" in require(draw(GRID, few))[1]) is (count == 10)


def test_a_heatmap_of_nothing_is_none() -> None:
    columns = {"a": ["x", "y"], "b": ["x", "y"], "call_count": pa.array([None, None], pa.int64())}
    assert draw(GRID, columns) is None
    assert draw(GRID, {**columns, "call_count": [math.inf, math.nan]}) is None
    assert draw(GRID, {**columns, "call_count": [2e290, 1e300]}) is None


BOXES = Shape("boxes", measure=1, by=(0,))


def test_boxes_are_quantiles_from_the_highest_median() -> None:
    columns = {
        "model": ["a"] * 5 + ["b"] * 5 + [None] * 5 + ["d"] * 5,
        "latency_ms": [0, 1, 2, 3, 4, 10, 20, 30, 40, 50, *[7] * 5, 1, 1, 1, 1, math.nan],
    }
    made, spec = require(draw(BOXES, columns))
    first, *others = spec["data"]["values"]
    assert [first[name] for name in ("x", "low", "q1", "mid", "q3", "high")] == [
        *("b", pytest.approx(12), 20.0, 30.0, 40.0, pytest.approx(48)),
    ]
    assert [one["x"] for one in others] == ["none", "a", "d"]
    assert made.headline == "latency (ms) is highest for b: median 30, against 1 for d"
    assert made.finding == (
        "b: half lie between 20 and 40; none: half lie between 7 and 7; a: half lie between 1 and 3."
    )
    assert made.alt == (
        "Box plots of latency (ms) by model, from the 5th to the 95th percentile. "
        f"{made.headline}. {made.finding}"
    )
    assert spec["layer"][0]["encoding"]["x"]["title"] == "latency (ms)"
    one, _ = require(draw(BOXES, {"model": ["a"] * 3, "latency_ms": [1, 2, 3]}))
    assert one.headline == "latency (ms) is highest for a: median 2"
    assert draw(BOXES, {"model": ["a"], "latency_ms": [2e290]}) is None


HISTOGRAM = Shape("histogram", measure=0)


def test_a_histogram_has_every_value_in_one_of_its_bins() -> None:
    values = [10.0, 10.5, 34.0, 34.0, math.inf, 11.0, 22.5]
    made, spec = require(draw(HISTOGRAM, {"size_bytes": values}))
    bins = spec["data"]["values"]
    assert [(one["low"], one["high"]) for one in bins] == [(10.0 + n, 11.0 + n) for n in range(24)]
    assert {n: one["v"] for n, one in enumerate(bins) if one["v"]} == {0: 2, 1: 1, 12: 1, 23: 2}
    assert sum(one["v"] for one in bins) == 6
    assert made.headline == "size (bytes): half are below 16.75, 95 % below 34"
    assert made.finding == "6 values from 10 to 34."
    assert made.alt == f"Histogram of size (bytes). {made.headline}. {made.finding}"
    counts, rule, _, words = spec["layer"]
    assert counts["encoding"]["x"]["title"] == "size (bytes)"
    assert counts["encoding"]["y"]["title"] == "values"
    assert rule["encoding"]["x"]["datum"] == 16.75
    assert words["mark"]["text"] == "median 16.75"


@pytest.mark.parametrize("values", [[5.0, 5.0], [math.nan], [None], [1.0, 2e290], [-2e290, 1.0]])
def test_values_without_a_width_are_no_histogram(values: list[Any]) -> None:
    assert draw(HISTOGRAM, {"size_bytes": pa.array(values, pa.float64())}) is None
