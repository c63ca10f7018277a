"""Where the charting engine puts the marks of each specification, and what its axes and colors say:
read back from the engine, in the place of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from cdesk_app.render import vega
from cdesk_app.render.vega import NARROW, SMALL, THEMES, WIDE, Json
from tests.scene import Mark, Scene, scene_of

LIGHT = THEMES["light"]


def near(value: Any) -> Any:
    return pytest.approx(value, abs=0.01)


def days(*values: float, **more: Any) -> list[Json]:
    return [
        {"t": f"2026-01-{n:02}T00:00:00", "v": value, "s": "", **more}
        for n, value in enumerate(values, start=1)
    ]


def hours(count: int) -> list[Json]:
    return [{"t": f"2026-01-05T{n:02}:00:00", "v": n, "s": ""} for n in range(count)]


def lines(points: Sequence[Json], **more: Any) -> Json:
    given = {"mean": None, "mean_text": "", "has_series": False, "date_format": "%-d %b"}
    return vega.series(points, title="questions", **{**given, **more})


def require_no_overlap(labels: Sequence[Mark]) -> None:
    """Of labels of one axis from left to right, six units a letter."""
    shift = {"left": 0.0, "center": 0.5, "right": 1.0}
    spans = [
        (mark.x - shift[mark.look["align"]] * wide, mark.x + (1 - shift[mark.look["align"]]) * wide)
        for mark in labels
        if mark.is_seen and (wide := 6 * len(mark.text))
    ]
    assert all(one[1] < following[0] for one, following in pairwise(sorted(spans)))


def axes(scene: Scene) -> tuple[list[Mark], list[Mark]]:
    """Labels below the plot, and beside it."""
    labels = scene.of("text", "axis-label")
    return [mark for mark in labels if mark.x >= 0], [mark for mark in labels if mark.x < 0]


def require_bare(scene: Scene) -> None:
    """No rule but marks: neither lines behind them nor ticks."""
    assert {mark.role for mark in scene.marks if mark.kind == "rule"} <= {"mark"}


# -- over time


def test_a_series_is_an_area_from_zero_with_its_mean_across() -> None:
    values = [100.0, 104, 60, 101, 102, 103, 110]
    scene = scene_of(lines(days(*values), mean=97.0, mean_text="mean 97"))
    area, points = scene.of("area"), scene.of("symbol")
    unit = area[0].tall / values[0]
    assert [mark.x for mark in area] == near([120 * n for n in range(7)])
    assert [mark.tall for mark in area] == near([unit * value for value in values])
    assert {mark.bottom for mark in area} == {300.0}
    assert [(mark.x, mark.y) for mark in scene.of("line")] == [(mark.x, mark.y) for mark in area]
    assert [(mark.x, mark.y) for mark in points] == [(mark.x, mark.y) for mark in area]
    assert {mark.look["fill"] for mark in (*area, *points)} == {LIGHT.accent}
    assert {mark.look.get("stroke") for mark in points} == {None}
    (mean,) = scene.of("rule")
    assert mean.y == near(300 - unit * 97)
    assert (min(mean.x, mean.right), max(mean.x, mean.right)) == (0, WIDE)
    assert (mean.look["stroke"], mean.look["strokeDash"]) == (LIGHT.soft, [5, 4])
    halo, words = scene.of("text")
    for mark in (halo, words):
        assert (mark.x, mark.y, mark.text) == (4, mean.y, "mean 97")
        assert (mark.look["align"], mark.look["baseline"], mark.look["dy"]) == (
            "left",
            "bottom",
            -3,
        )
    assert (halo.look["stroke"], words.look["fill"]) == (LIGHT.surface, LIGHT.ink)
    assert "stroke" not in words.look
    below, beside = axes(scene)
    assert [mark.text for mark in below] == [f"{n} Jan" for n in range(1, 8)]
    assert [mark.look["align"] for mark in below] == ["left", *["center"] * 5, "right"]
    assert [mark.text for mark in beside] == ["0", "20", "40", "60", "80", "100"]
    assert scene.labels("axis-title") == ["questions"]
    # Lines behind the marks go across alone, and ticks are below.
    assert len(scene.of("rule", "axis-grid")) == 6
    assert all(mark.wide == WIDE for mark in scene.of("rule", "axis-grid"))
    assert {mark.y for mark in scene.of("rule", "axis-tick")} == {300.5}
    assert [mark.wide for mark in scene.of("rule", "axis-domain")] == [WIDE]


def test_the_last_day_is_named_too_and_thousands_are_short() -> None:
    below, beside = axes(scene_of(lines(days(*[40_000.0] * 7))))
    assert [mark.text for mark in beside] == ["0k", "10k", "20k", "30k", "40k"]
    last = below[-1]
    assert (last.text, last.x, last.look["align"]) == ("7 Jan", 720.5, "right")


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_no_day_of_a_few_is_named_twice(count: int) -> None:
    points = days(*map(float, range(1, count + 1)))
    several = [{**point, "s": name} for name in ("p50", "p95") for point in points]
    for spec in (
        lines(points),
        lines(several, has_series=True),
        vega.sparkline(several, target=None, target_text=""),
    ):
        said = [text for text in scene_of(spec).labels() if text.endswith("Jan")]
        assert said == [f"{n} Jan" for n in range(1, count + 1)]


def test_days_that_are_far_apart_have_labels_between_them() -> None:
    points = [point for n, point in enumerate(days(*[1.0] * 29)) if n in (0, 4, 28)]
    said = scene_of(lines(points[::-1])).labels()
    assert [text for text in said if text.endswith("Jan")] == [
        *("4 Jan", "11 Jan", "18 Jan", "25 Jan"),
    ]


def test_labels_of_hours_leave_each_other_room() -> None:
    for spec in (lines(hours(24), date_format="%-d %b %H:%M"),):
        for one in (spec, vega.narrowed(spec)):
            labels = [
                mark for mark in scene_of(one).of("text", "axis-label") if mark.text.endswith(":00")
            ]
            assert len([mark for mark in labels if mark.is_seen]) >= 2
            require_no_overlap(labels)


@pytest.mark.parametrize("count", [40, 41])
def test_a_long_series_is_straight_and_has_no_points(count: int) -> None:
    points = [
        {"t": f"2026-{1 + n // 28:02}-{1 + n % 28:02}T00:00:00", "v": 1.0, "s": ""}
        for n in range(count)
    ]
    scene = scene_of(lines(points))
    assert {mark.look["interpolate"] for mark in scene.of("area")} == {
        "monotone" if count == 40 else "linear"
    }
    assert len(scene.of("symbol")) == (count if count == 40 else 0)
    assert scene.of("rule") == [], "no mean"


def test_the_time_before_is_a_dashed_line_behind_on_the_same_scale() -> None:
    points = [{**point, "b": 2 * point["v"]} for point in days(10, 20, 30)]
    scene = scene_of(lines(points, mean=20.0, mean_text="mean", before="3 days before"))
    area = scene.of("area")
    dashed = [mark for mark in scene.of("line") if "strokeDash" in mark.look]
    assert [(mark.x, 300 - mark.y) for mark in dashed] == [
        (mark.x, near(2 * mark.tall)) for mark in area
    ]
    assert {mark.look["stroke"] for mark in dashed} == {LIGHT.soft}
    assert scene.marks.index(dashed[0]) < scene.marks.index(area[0])
    (words,) = scene.of("text")
    assert (words.text, words.x, words.y) == ("– – 3 days before", WIDE, 0)
    assert (words.look["align"], words.look["dy"]) == ("right", -8)
    assert scene.of("rule") == [], "where a time before is shown, no mean is"


def test_several_series_have_a_color_each_that_the_legend_names() -> None:
    names = ["c", "a", "b"]
    points = [{**point, "s": name} for n, name in enumerate(names) for point in days(n + 1, 4, 2)]
    scene = scene_of(lines(points, has_series=True))
    assert scene.labels("legend-label") == names
    colors = [mark.look["fill"] for mark in scene.of("symbol", "legend-symbol")]
    assert colors == list(LIGHT.series[:3])
    unit = 300 / 4
    for place, color in enumerate(colors):
        drawn = [mark for mark in scene.of("line") if mark.look["stroke"] == color]
        assert [mark.y for mark in drawn] == near([300 - unit * (place + 1), 0, 300 - unit * 2])
        dots = [mark for mark in scene.of("symbol") if mark.look.get("fill") == color]
        assert [(mark.x, mark.y) for mark in dots] == [(mark.x, mark.y) for mark in drawn]
    assert scene.of("area") == []


@pytest.mark.parametrize(
    ("letters", "names", "rows"),
    [(1, 8, [8]), (1, 9, [8, 1]), (13, 8, [5, 3]), (60, 3, [2, 1]), (100, 3, [2, 1])],
)
def test_a_legend_has_as_many_columns_as_its_names_leave_room_for(
    letters: int, names: int, rows: list[int]
) -> None:
    points = [{**point, "s": str(n) * letters} for n in range(names) for point in days(1, 2)]
    legend = scene_of(lines(points, has_series=True)).of("text", "legend-label")
    places = [mark.y for mark in legend]
    assert [places.count(y) for y in dict.fromkeys(places)] == rows


@pytest.mark.parametrize(("count", "has_points"), [(80, True), (81, False)])
def test_lines_of_many_points_have_none_that_are_marked(count: int, has_points: bool) -> None:
    moments = [f"2026-{1 + n // 28:02}-{1 + n % 28:02}T00:00:00" for n in range(count)]
    points = [{"t": t, "v": 1.0, "s": name} for name in "ab" for t in moments]
    scene = scene_of(lines(points, has_series=True))
    assert bool(scene.of("symbol")) is has_points


@pytest.mark.parametrize(("highest", "baseline", "dy"), [(99.0, "top", 3), (100.0, "bottom", -3)])
def test_a_small_line_has_its_target_across_with_words_where_there_is_room(
    highest: float, baseline: str, dy: int
) -> None:
    points = [
        {**point, "s": name} for name in ("p50", "p95", "p99") for point in days(10, highest, 50)
    ]
    scene = scene_of(vega.sparkline(points, target=20.0, target_text="target 20 ms"))
    (target,) = scene.of("rule")
    drawn = scene.of("line")
    assert len(drawn) == 9
    unit = (130 - drawn[0].y) / 10
    assert [130 - mark.y for mark in drawn[:3]] == near([10 * unit, highest * unit, 50 * unit])
    assert target.y == near(130 - 20 * unit)
    assert max(target.x, target.right) == SMALL == max(mark.x for mark in drawn)
    for words in scene.of("text"):
        assert (words.x, words.y, words.text) == (4, target.y, "target 20 ms")
        assert (words.look["align"], words.look["baseline"], words.look["dy"]) == (
            "left", baseline, dy,
        )  # fmt: skip
    assert scene.labels("legend-label") == ["p50", "p95", "p99"]
    assert {mark.look["strokeWidth"] for mark in drawn} == {2}
    assert scene.labels("axis-title") == []
    below, beside = axes(scene)
    assert [mark.text for mark in below] == ["1 Jan", "2 Jan", "3 Jan"]
    assert len(beside) <= 6
    without = scene_of(vega.sparkline(points, target=None, target_text=""))
    assert (without.of("rule"), without.of("text")) == ([], [])


def test_a_small_lines_axis_is_short_of_letters() -> None:
    _, beside = axes(scene_of(vega.sparkline(days(40_000, 1, 2), target=None, target_text="")))
    assert [mark.text for mark in beside] == ["0k", "10k", "20k", "30k", "40k"]


# -- by category


def test_bars_begin_at_zero_and_say_their_value_at_their_end() -> None:
    given = [
        {"x": name, "v": value, "text": str(value)}
        for name, value in (("b", 8), ("a", 6), ("c", 2))
    ]
    scene = scene_of(vega.bars(given, title="calls"))
    bars, texts = scene.of("rect"), scene.of("text")
    assert {bar.x for bar in bars} == {0.0}
    assert [bar.wide for bar in bars] == near([720, 540, 180])
    assert [(mark.text, mark.x, mark.look["dx"]) for mark in texts] == [
        ("8", near(720), 6), ("6", near(540), 6), ("2", near(180), 6),
    ]  # fmt: skip
    labels = scene.of("text", "axis-label")
    assert [mark.text for mark in labels] == ["b", "a", "c"], "in the order given, and no scale"
    for place, (bar, text, label) in enumerate(zip(bars, texts, labels, strict=True)):
        assert bar.y + bar.tall / 2 == near(30 * place + 15)
        assert bar.tall == near(27 * 0.68)
        assert (text.y, label.y) == (near(30 * place + 15), near(30 * place + 15))
    assert {bar.look["fill"] for bar in bars} == {LIGHT.accent}
    assert scene.labels("axis-title") == []
    require_bare(scene)


def test_a_funnels_steps_are_centered_shares_and_their_words_are_read() -> None:
    given = [
        {
            "x": f"{n}. s",
            "low": -share / 2,
            "high": share / 2,
            "text": f"t{n}",
            "inside": share > 0.5,
        }
        for n, share in enumerate((1.0, 0.6, 0.1), start=1)
    ]
    scene = scene_of(vega.funnel(given, title="reached"))
    bars, texts = scene.of("rect"), scene.of("text")
    assert [(bar.x, bar.wide) for bar in bars] == [
        (near((720 - wide) / 2), near(wide)) for wide in (720, 432, 72)
    ]
    labels = scene.of("text", "axis-label")
    assert [mark.text for mark in labels] == ["1. s", "2. s", "3. s"]
    for place, (bar, text, label) in enumerate(zip(bars, texts, labels, strict=True)):
        assert bar.y + bar.tall / 2 == near(56 * place + 28)
        assert (text.x, text.y, text.look["align"]) == (360, near(56 * place + 28), "center")
        assert label.y == near(56 * place + 28)
        assert text.look.get("stroke") is None
    assert [mark.text for mark in texts] == ["t1", "t2", "t3"]
    assert [mark.look["fill"] for mark in texts] == [LIGHT.surface, LIGHT.surface, LIGHT.ink]
    require_bare(scene)


def cells(down: int, across: int, **more: Any) -> list[Json]:
    """Cells whose value is their number, the last first."""
    return [
        {
            "x": f"x{99 - n % across}",
            "y": f"y{99 - n // across}",
            "across": n % across,
            "down": n // across,
            "v": n,
            "strong": n > 2,
            **more,
        }
        for n in reversed(range(down * across))
    ]


def heatmap(points: Sequence[Json], rows: int, **more: Any) -> Scene:
    given = {"x_title": "hour", "y_title": "day", "title": "calls", "text_format": "~s"}
    given |= {"with_text": True, "rows": rows}
    return scene_of(vega.heatmap(points, **{**given, **more}))


def test_cells_stand_by_their_places_the_darker_the_more() -> None:
    scene = heatmap(cells(2, 3), 2)
    found = sorted(scene.of("rect"), key=lambda mark: (mark.y, mark.x))
    assert [(mark.x, mark.y) for mark in found] == [(x, y) for y in (0, 30) for x in (0, 240, 480)]
    assert {(mark.wide, mark.tall) for mark in found} == {(240, 30)}
    brightness = [sum(_rgb(mark.look["fill"])) for mark in found]
    assert brightness == sorted(set(brightness), reverse=True)
    assert (_rgb(found[0].look["fill"]), _rgb(found[-1].look["fill"])) == (
        _rgb(LIGHT.ramp[0]), _rgb(LIGHT.ramp[-1]),
    )  # fmt: skip
    assert {mark.look["stroke"] for mark in found} == {LIGHT.surface}
    assert {(mark.look["strokeWidth"], mark.look["cornerRadius"]) for mark in found} == {(2, 3)}
    texts = sorted(scene.of("text"), key=lambda mark: (mark.y, mark.x))
    assert [mark.text for mark in texts] == [str(n) for n in range(6)]
    assert [(mark.x, mark.y) for mark in texts] == [
        (near(x + 120), near(y + 15)) for y in (0, 30) for x in (0, 240, 480)
    ]
    assert [mark.look["fill"] for mark in texts] == [LIGHT.ink] * 3 + [LIGHT.surface] * 3
    labels = [mark for mark in scene.of("text", "axis-label") if mark.is_seen]
    assert [mark.text for mark in labels] == ["x99", "x98", "x97", "y99", "y98"]
    assert {mark.look["angle"] for mark in labels} == {0}
    assert scene.labels("axis-title") == ["hour", "day"]
    assert scene.labels("legend-title") == ["calls"]
    (gradient,) = scene.of("rect", "legend-gradient")
    assert gradient.wide == 160
    require_bare(scene)


def _rgb(color: str) -> tuple[int, ...]:
    if color.startswith("#"):
        return tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))
    return tuple(int(part) for part in color.removeprefix("rgb(").rstrip(")").split(","))


def test_cells_and_legend_are_told_in_the_format_asked_for() -> None:
    points = [{**cell, "v": cell["v"] / 4} for cell in cells(1, 5)]
    scene = heatmap(points, 1, text_format=".0%", x_title=None)
    assert [mark.text for mark in scene.of("text")] == ["100%", "75%", "50%", "25%", "0%"]
    assert {text[-1] for text in scene.labels("legend-label")} == {"%"}
    assert scene.labels("axis-title") == ["day"]
    bare = heatmap(points, 1, with_text=False)
    assert (bare.of("text"), len(bare.of("rect"))) == ([], 5)


@pytest.mark.parametrize(("rows", "tall"), [(1, 60), (2, 60), (3, 90), (20, 600), (21, 620)])
def test_a_heatmap_is_as_high_as_its_rows_up_to_a_page(rows: int, tall: int) -> None:
    for with_text in (True, False):
        scene = heatmap(cells(rows, 2), rows, with_text=with_text)
        assert max(mark.bottom for mark in scene.of("rect")) == near(tall)


def test_names_of_many_columns_leave_each_other_room() -> None:
    points = [{**cell, "x": f"a longer name {cell['x']}"} for cell in cells(1, 20)]
    labels = [
        mark for mark in heatmap(points, 1).of("text", "axis-label") if mark.text.startswith("a")
    ]
    assert 3 <= len([mark for mark in labels if mark.is_seen]) < 20
    require_no_overlap(labels)


# -- distributions


def test_bins_stand_side_by_side_over_the_whole_axis_with_the_median_across() -> None:
    bins = [
        {"low": 10_000 + 1_000 * n, "high": 11_000 + 1_000 * n, "v": v}
        for n, v in enumerate((4, 0, 3_000, 1))
    ]
    scene = scene_of(
        vega.histogram(
            bins, title="bytes", median=12_500.0, median_text="median 12,500", count_title="values"
        )
    )
    found = scene.of("rect")
    assert [(mark.x, mark.wide) for mark in found] == [(near(180 * n), near(180)) for n in range(4)]
    assert {mark.bottom for mark in found} == {280.0}
    assert [mark.tall for mark in found] == near([280 * v / 3_000 for v in (4, 0, 3_000, 1)])
    assert {mark.look["stroke"] for mark in found} == {LIGHT.surface}
    assert {mark.look["strokeWidth"] for mark in found} == {1}
    (median,) = scene.of("rule")
    assert median.x == near(450)
    assert (min(median.y, median.bottom), max(median.y, median.bottom)) == (0, 280)
    for words in scene.of("text"):
        assert (words.text, words.x, words.y) == ("median 12,500", near(450), 8)
        assert (words.look["align"], words.look["dx"], words.look["dy"]) == ("left", 6, -3)
    assert scene.labels("axis-title") == ["bytes", "values"]
    below, beside = axes(scene)
    assert [mark.text for mark in below][:2] == ["10k", "10.5k"]
    assert len(below) <= 9
    assert [mark.text for mark in beside] == ["0k", "0.5k", "1k", "1.5k", "2k", "2.5k", "3k"]


def test_boxes_span_their_quantiles_on_one_scale() -> None:
    given = [
        {"x": "b", "low": 1_000, "q1": 1_100, "mid": 1_200, "q3": 1_300, "high": 1_500},
        {"x": "a", "low": 1_050, "q1": 1_200, "mid": 1_210, "q3": 1_220, "high": 1_300},
    ]
    scene = scene_of(vega.boxes(given, title="latency"))
    whiskers = scene.of("rule")
    found = scene.of("rect")
    boxes, ticks = found[:2], found[2:]
    at = 720 / 500
    for place, (one, whisker, box, tick) in enumerate(
        zip(given, whiskers, boxes, ticks, strict=True)
    ):
        middle = near(38 * place + 19)
        ends = sorted((whisker.x, whisker.right))
        assert ends == near([at * (one["low"] - 1_000), at * (one["high"] - 1_000)])
        assert (box.x, box.right) == (
            near(at * (one["q1"] - 1_000)),
            near(at * (one["q3"] - 1_000)),
        )
        assert tick.x + tick.wide / 2 == near(at * (one["mid"] - 1_000))
        assert (whisker.y, box.y + box.tall / 2, tick.y + tick.tall / 2) == (middle,) * 3
        assert tick.wide == 3
        assert tick.look["fill"] == LIGHT.surface
    below, beside = axes(scene)
    assert [mark.text for mark in beside] == ["b", "a"]
    assert below[0].text == "1k", "not from zero"
    assert scene.labels("axis-title") == ["latency"]
    assert len(scene.of("rule", "axis-domain")) == 1
    grid = scene.of("rule", "axis-grid")
    assert len(grid) > 3
    assert {mark.wide for mark in grid} == {0.0}
    assert {mark.y for mark in scene.of("rule", "axis-tick")} == {76.5}


def test_few_rows_have_the_height_of_two() -> None:
    row = {"x": "a", "v": 1, "text": "1"}
    assert [vega.bars([row] * n, title="t")["height"] for n in (1, 2, 3)] == [60, 60, 90]


# -- flows, figures, days


def test_bands_of_a_sankey_join_their_nodes_and_names_stand_beside() -> None:
    nodes = [
        {"x": 0, "x2": 0.028, "y": 0.0, "y2": 0.75, "s": "a", "ty": 0.375, "text": "a 3"},
        {"x": 1, "x2": 1.028, "y": 0.25, "y2": 1.0, "s": "b", "ty": 0.625, "text": "b 3"},
        {"x": 2, "x2": 2.028, "y": 0.5, "y2": 0.75, "s": "a", "ty": 0.625, "text": "a 1"},
    ]
    links = [
        {"id": 0, "x": 0.028, "y": 0.0, "y2": 0.75, "s": "a"},
        {"id": 0, "x": 1, "y": 0.25, "y2": 1.0, "s": "a"},
        {"id": 1, "x": 1.028, "y": 0.25, "y2": 0.5, "s": "b"},
        {"id": 1, "x": 2, "y": 0.5, "y2": 0.75, "s": "b"},
    ]
    scene = scene_of(vega.sankey(links, nodes, depth=2, height=200))
    unit = 720 / 2.45
    bands, found, names = scene.of("area"), scene.of("rect"), scene.of("text")
    assert [(mark.x, mark.y, mark.bottom) for mark in bands] == [
        (near(unit * one["x"]), near(200 * one["y"]), near(200 * one["y2"])) for one in links
    ]
    assert [(mark.x, mark.wide) for mark in found] == [
        (near(unit * one["x"]), near(unit * 0.028)) for one in nodes
    ]
    assert [(mark.y, mark.bottom) for mark in found] == [
        (near(200 * one["y"]), near(200 * one["y2"])) for one in nodes
    ]
    assert [mark.look["fill"] for mark in found] == [
        LIGHT.series[0], LIGHT.series[1], LIGHT.series[0],
    ]  # fmt: skip
    assert [mark.look["fill"] for mark in bands] == [LIGHT.series[0]] * 2 + [LIGHT.series[1]] * 2
    assert {mark.look["cornerRadius"] for mark in found} == {2}
    assert [(mark.text, mark.x, mark.y) for mark in names] == [
        (one["text"], near(unit * one["x2"]), near(200 * one["ty"])) for one in nodes
    ]
    assert {(mark.look["align"], mark.look["dx"], mark.look["limit"]) for mark in names} == {
        ("left", 6, int(unit * 0.8))
    }
    assert (scene.labels(), scene.labels("legend-label")) == ([], [])


def figure(place: int) -> Json:
    return {"x": str(place), "big": f"big{place}", "small": f"small{place}"}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_figures_stand_side_by_side_each_over_its_name(count: int) -> None:
    spec = vega.figures([figure(n) for n in range(count)])
    scene = scene_of(spec)
    room = 720 / count
    big, small = scene.of("text")[:count], scene.of("text")[count:]
    assert [mark.text for mark in big] == [f"big{n}" for n in range(count)]
    assert [mark.text for mark in small] == [f"small{n}" for n in range(count)]
    assert [(mark.x, mark.y) for mark in big] == [
        (near(room * (n + 0.5)), 56) for n in range(count)
    ]
    assert [(mark.x, mark.y) for mark in small] == [
        (near(room * (n + 0.5)), 82) for n in range(count)
    ]
    assert {mark.look["fontSize"] for mark in big} == {54 if count == 1 else 30}
    assert {mark.look["limit"] for mark in big} == {room - 12}
    assert {mark.look["limit"] for mark in small} == {room - 8}
    assert scene.labels() == []
    assert vega.narrowed(spec)["width"] == NARROW


def test_a_small_line_below_figures_begins_at_zero_and_ends_in_a_point() -> None:
    spec = vega.figures([figure(0)], trend=days(4, 8, 6), caption="by day")
    scene = scene_of(spec)
    area = scene.of("area")
    assert [mark.tall for mark in area] == near([36, 72, 54])
    assert [mark.x for mark in area] == near([0, 360, 720])
    (point,) = scene.of("symbol")
    assert (point.x, point.y) == (near(720), near(area[2].y))
    assert (point.look["fill"], point.look["opacity"]) == (LIGHT.accent, 1)
    assert point.look.get("stroke") is None
    caption = scene.of("text")[-1]
    assert (caption.text, caption.x, caption.y) == ("by day", 0, near(area[1].y))
    assert (caption.look["dy"], caption.look["align"]) == (-8, "left")
    big = scene.of("text")[0]
    assert area[1].y - big.y == near(110 - 56 + 30 + 21), "below the figures, with room for words"
    assert scene.labels() == []
    require_bare(scene)
    narrow = vega.narrowed(spec)
    assert [part["width"] for part in narrow["vconcat"]] == [NARROW, NARROW]


def test_a_year_of_days_is_weeks_across_the_darker_the_more() -> None:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    given = [
        {"week": n // 7, "day": names[n % 7], "v": 4.0 if n == 3 else 16.0 if n == 9 else 0.0}
        for n in range(14)
    ]
    months = [{"week": 0, "text": "Jan"}, {"week": 1, "text": "Feb"}]
    scene = scene_of(vega.calendar(given, title="activities", months=months))
    found = scene.of("rect")
    assert [(mark.x, mark.y) for mark in found] == [
        (360 * (n // 7), near(15 * (n % 7))) for n in range(14)
    ]
    assert {(mark.wide, near(mark.tall) == 15) for mark in found} == {(360, True)}
    assert {(mark.look["strokeWidth"], mark.look["cornerRadius"]) for mark in found} == {(2, 2)}
    fills = [_rgb(mark.look["fill"]) for mark in found]
    assert fills[0] == _rgb(LIGHT.ramp[0])
    assert fills[9] == _rgb(LIGHT.ramp[-1])
    # A quarter of the most has half of the colors: the root, so that small days are told apart.
    middle = [(a + b) / 2 for a, b in zip(_rgb(LIGHT.ramp[2]), _rgb(LIGHT.ramp[3]), strict=True)]
    assert max(abs(a - b) for a, b in zip(fills[3], middle, strict=True)) < 12
    assert [mark.text for mark in scene.of("text", "axis-label")] == list(names)
    assert [(mark.text, mark.x, mark.y) for mark in scene.of("text")] == [
        ("Jan", near(180), -8), ("Feb", near(540), -8),
    ]  # fmt: skip
    assert scene.of("rect", "legend-gradient") == []
    require_bare(scene)


def test_a_scheme_is_filled_in_everywhere_but_in_data() -> None:
    spec = {
        "layer": [{"mark": {"color": "$soft", "dx": 3, "is": None}}, "$ink", "plain"],
        "data": {"values": [{"x": "$accent"}]},
        "fill": ["$surface", "$muted", "$accent"],
    }
    full = vega.themed(spec, "dark")
    dark = THEMES["dark"]
    assert full["layer"] == [{"mark": {"color": dark.soft, "dx": 3, "is": None}}, dark.ink, "plain"]
    assert full["data"] == {"values": [{"x": "$accent"}]}
    assert full["fill"] == [dark.surface, dark.muted, dark.accent]
    assert full["config"]["range"] == {"category": list(dark.series), "heatmap": list(dark.ramp)}
    assert full["$schema"] == vega.SCHEMA
