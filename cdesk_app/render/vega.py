"""Vega-Lite specifications of every chart, from one place: https://vega.github.io/vega-lite/docs/

Field names are this module's own (`t`, `v`, `x`, `y`, `s`), and what comes from a result goes in as
data or as a title, never into an expression. Moments are the person's wall clock written as UTC, so
that nothing depends on the time zone of the process that draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, Literal

Json = dict[str, Any]
ThemeName = Literal["light", "dark"]

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"
WIDE: Final = 720
NARROW: Final = 340
SMALL: Final = 440
"""Half of a dashboard's width."""
FONT: Final = "Inter, 'Segoe UI', system-ui, -apple-system, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Theme:
    """Colors of one scheme; each mark has a contrast of at least 3 to 1 against `surface`, each
    text 4.5 to 1.
    """

    surface: str
    ink: str
    muted: str
    grid: str
    accent: str
    soft: str
    series: tuple[str, ...]
    ramp: tuple[str, ...]


THEMES: Final[dict[ThemeName, Theme]] = {
    "light": Theme(
        surface="#ffffff",
        ink="#1f2328",
        muted="#5d646d",
        grid="#e8e6e1",
        accent="#bf4b2c",
        soft="#7d848c",
        series=(
            "#bf4b2c",
            "#20766f",
            "#a26a00",
            "#4a5fa8",
            "#8a4b86",
            "#4f7d33",
            "#8c5a3c",
            "#68717c",
        ),
        ramp=("#fbe9e0", "#f2c3ae", "#e2937a", "#cc5f40", "#99381f", "#5f1f10"),
    ),
    "dark": Theme(
        surface="#1b1d20",
        ink="#eceae6",
        muted="#a9adb3",
        grid="#33363b",
        accent="#f0916f",
        soft="#8b9198",
        series=(
            "#f0916f",
            "#56c2b6",
            "#e3b34c",
            "#93a7f0",
            "#d292cd",
            "#95c96f",
            "#cfa184",
            "#a3abb5",
        ),
        ramp=("#33241f", "#5c3427", "#8c4a35", "#c06a4c", "#ee9a79", "#ffd9c7"),
    ),
}


def config(theme: Theme) -> Json:
    """How every chart looks."""
    label = {"labelColor": theme.muted, "labelFontSize": 12, "labelLimit": 190}
    heading = {"titleColor": theme.muted, "titleFontSize": 12, "titleFontWeight": 500}
    return {
        "background": None,
        "font": FONT,
        "padding": 6,
        "view": {"stroke": None},
        "axis": {
            **label,
            **heading,
            "gridColor": theme.grid,
            "domainColor": theme.grid,
            "tickColor": theme.grid,
            "titlePadding": 10,
            "labelPadding": 6,
        },
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            **label,
            **heading,
            "orient": "top",
            "symbolType": "circle",
            "offset": 8,
            "columnPadding": 28,
        },
        "text": {"color": theme.ink, "fontSize": 12},
        "range": {"category": list(theme.series), "heatmap": list(theme.ramp)},
        "mark": {"color": theme.accent},
        "rule": {"color": theme.soft},
    }


def themed(spec: Json, name: ThemeName) -> Json:
    """The specification with the colors of one scheme filled in for the marks that name them."""
    theme = THEMES[name]
    colors = {
        "$surface": theme.surface,
        "$ink": theme.ink,
        "$muted": theme.muted,
        "$accent": theme.accent,
        "$soft": theme.soft,
    }

    def fill(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: value if key == "values" else fill(value)  # data stays as it is
                for key, value in node.items()
            }
        if isinstance(node, list):
            return [fill(item) for item in node]
        return colors.get(node, node)

    return {"$schema": SCHEMA, "config": config(theme), **fill(spec)}


def _frame(values: list[Json], *, height: int, **rest: Any) -> Json:
    return {"data": {"values": values}, "width": WIDE, "height": height, **rest}


_LABELS: Final[Json] = {"padding": {"left": 28, "right": 14, "top": 6, "bottom": 6}}
"""Room for names of categories: a browser's font may be wider than the one that measured them."""


def _marked(axis: str, at: float, text: str, **place: Any) -> list[Json]:
    """A dashed rule across the chart at `at`, with its name on a halo of the surface."""
    value = {axis: {"datum": at, "type": "quantitative"}}
    words = {"type": "text", "baseline": "bottom", "dy": -3, "text": text, **place}
    once: Json = {"values": [{}]}
    return [
        {
            "data": once,
            "mark": {"type": "rule", "strokeDash": [5, 4], "color": "$soft"},
            "encoding": value,
        },
        {
            "data": once,
            "mark": {**words, "stroke": "$surface", "strokeWidth": 5, "strokeJoin": "round"},
            "encoding": value,
        },
        {"data": once, "mark": {**words, "color": "$ink"}, "encoding": value},
    ]


def _quantity(field: str, title: str | None, **more: Any) -> Json:
    return {"field": field, "type": "quantitative", "title": title, **more}


def _ticks(points: Sequence[Json], most: int) -> int:
    """About how many moments an axis names: no more than lie in the span at the least distance of
    two, or a day would be named twice.
    """
    moments = [datetime.fromisoformat(text) for text in sorted({point["t"] for point in points})]
    least = min(later - earlier for earlier, later in pairwise(moments))
    return min(most, round((moments[-1] - moments[0]) / least))


def series(
    points: Sequence[Json],
    *,
    title: str,
    date_format: str,
    mean: float | None,
    mean_text: str,
    has_series: bool,
    before: str | None = None,
) -> Json:
    """Line (area below a single one) over time. Points: t (ISO, Z), v, s with several series, and b
    of the time before, which a dashed line shows under the name `before`.
    """
    x = {
        "field": "t",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc"},
        "axis": {"format": date_format, "tickCount": _ticks(points, 6)},
    }
    y = _quantity("v", title, axis={"tickCount": 5, "format": "~s"})
    if has_series:
        longest = max(len(point["s"]) for point in points)
        columns = max(2, min(8, int(WIDE / (longest * 7.5 + 40))))
        legend = {"columns": columns}
        color = {"field": "s", "type": "nominal", "title": None, "sort": None, "legend": legend}
        mark: Json = {"type": "line", "strokeWidth": 2.25, "strokeJoin": "round"}
        if len(points) <= 160:  # a series of one moment is seen, too
            mark["point"] = {"filled": True, "size": 30}
        return _frame(
            list(points), height=300, mark=mark, encoding={"x": x, "y": y, "color": color}
        )
    layers: list[Json] = [
        {
            "mark": {
                "type": "area",
                "interpolate": "monotone" if len(points) <= 40 else "linear",
                "line": {"color": "$accent", "strokeWidth": 2.5},
                "fillOpacity": 0.16,
                "color": "$accent",
            },
            "encoding": {"x": x, "y": y},
        }
    ]
    if len(points) <= 40:
        layers.append(
            {
                "mark": {"type": "point", "filled": True, "size": 34, "color": "$accent"},
                "encoding": {"x": x, "y": y},
            }
        )
    if before is not None:
        dashed = {"strokeDash": [6, 4], "strokeWidth": 1.75, "color": "$soft"}
        line = {
            "mark": {"type": "line", "interpolate": "linear", **dashed},
            "encoding": {"x": x, "y": _quantity("b", title)},
        }
        layers = [line, *layers, _dashed_is(before)]
    elif mean is not None:
        layers += _marked("y", mean, mean_text, align="left", x=4)
    return _frame(list(points), height=300, layer=layers)


def _dashed_is(name: str) -> Json:
    """What a dashed line is, in the corner above the chart, where no line goes."""
    return {
        "data": {"values": [{}]},
        "mark": {
            "type": "text",
            "text": f"– – {name}",
            "align": "right",
            "baseline": "bottom",
            "dy": -8,
            "fontSize": 12,
            "color": "$muted",
        },
        "encoding": {"x": {"value": "width"}, "y": {"value": 0}},
    }


def bars(points: Sequence[Json], *, title: str) -> Json:
    """One bar a category, in the order given. Points: x (label), v, text."""
    y = {
        "field": "x",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"labelLimit": 170, "ticks": False, "domain": False},
    }
    x = _quantity("v", title, axis=None)
    return _frame(
        list(points),
        height=max(30 * len(points), 60),
        **_LABELS,
        layer=[
            {
                "mark": {"type": "bar", "cornerRadiusEnd": 4, "height": {"band": 0.68}},
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "color": "$ink"},
                "encoding": {"x": x, "y": y, "text": {"field": "text", "type": "nominal"}},
            },
        ],
    )


def funnel(points: Sequence[Json], *, title: str) -> Json:
    """Centered bars, one a step. Points: x (label), low, high (share halves), text."""
    y = {
        "field": "x",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"ticks": False, "domain": False, "labelFontSize": 13},
    }
    x = {**_quantity("low", title, axis=None), "scale": {"domain": [-0.5, 0.5]}}
    return _frame(
        list(points),
        height=56 * len(points),
        **_LABELS,
        layer=[
            {
                "mark": {"type": "bar", "cornerRadius": 5, "height": {"band": 0.8}},
                "encoding": {"x": x, "x2": {"field": "high"}, "y": y},
            },
            {
                "mark": {
                    "type": "text",
                    "fontSize": 13,
                    "fontWeight": 600,
                    "color": "$ink",
                    "stroke": None,
                },
                "encoding": {
                    "x": {"datum": 0, "type": "quantitative"},
                    "y": y,
                    "text": {"field": "text", "type": "nominal"},
                    "color": {
                        "condition": {
                            "test": {"field": "inside", "equal": True},
                            "value": "$surface",
                        },
                        "value": "$ink",
                    },
                },
            },
        ],
    )


def heatmap(
    points: Sequence[Json],
    *,
    x_title: str | None,
    y_title: str | None,
    title: str,
    rows: int,
    text_format: str,
    with_text: bool,
) -> Json:
    """Cells by two categories. Points: x, y (labels), across, down (their places), v, strong
    (bool).
    """
    x = {
        "field": "x",
        "type": "ordinal",
        "title": x_title,
        "sort": {"field": "across", "op": "min"},
        "axis": {
            "labelAngle": 0,
            "ticks": False,
            "domain": False,
            "labelOverlap": True,
            "labelLimit": 90,
        },
    }
    y = {
        "field": "y",
        "type": "ordinal",
        "title": y_title,
        "sort": {"field": "down", "op": "min"},
        "axis": {"ticks": False, "domain": False},
    }
    color = {
        **_quantity("v", title, legend={"format": text_format, "gradientLength": 160}),
        "scale": {"range": "heatmap"},
    }
    cells = {
        "mark": {"type": "rect", "cornerRadius": 3, "stroke": "$surface", "strokeWidth": 2},
        "encoding": {"x": x, "y": y, "color": color},
    }
    height = min(max(30 * rows, 60), 620)
    if not with_text:
        return _frame(list(points), height=height, **cells, **_LABELS)
    words = {
        "mark": {"type": "text", "fontSize": 11},
        "encoding": {
            "x": x,
            "y": y,
            "text": {"field": "v", "type": "quantitative", "format": text_format},
            "color": {
                "condition": {"test": {"field": "strong", "equal": True}, "value": "$surface"},
                "value": "$ink",
            },
        },
    }
    return _frame(list(points), height=height, layer=[cells, words], **_LABELS)


def histogram(
    bins: Sequence[Json], *, title: str, median: float, median_text: str, count_title: str
) -> Json:
    """Counts by bin. Bins: low, high, v."""
    layers: list[Json] = [
        {
            "mark": {"type": "rect", "stroke": "$surface", "strokeWidth": 1, "color": "$accent"},
            "encoding": {
                "x": _quantity(
                    "low", title, axis={"format": "~s", "tickCount": 8}, scale={"zero": False}
                ),
                "x2": {"field": "high"},
                "y": _quantity("v", count_title, axis={"tickCount": 5, "format": "~s"}),
                "y2": {"datum": 0},
            },
        },
        *_marked("x", median, median_text, align="left", dx=6, y=8),
    ]
    return _frame(list(bins), height=280, layer=layers)


def boxes(points: Sequence[Json], *, title: str) -> Json:
    """Box plots from quantiles. Points: x (label), low, q1, mid, q3, high."""
    y = {
        "field": "x",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"ticks": False, "domain": False},
    }
    low = _quantity("low", title, axis={"format": "~s", "grid": True}, scale={"zero": False})
    return _frame(
        list(points),
        height=max(38 * len(points), 76),
        **_LABELS,
        layer=[
            {
                "mark": {"type": "rule", "color": "$soft"},
                "encoding": {"x": low, "x2": {"field": "high"}, "y": y},
            },
            {
                "mark": {"type": "bar", "height": {"band": 0.56}, "cornerRadius": 4},
                "encoding": {"x": _quantity("q1", title), "x2": {"field": "q3"}, "y": y},
            },
            {
                "mark": {"type": "tick", "color": "$surface", "thickness": 3, "bandSize": 18},
                "encoding": {"x": _quantity("mid", title), "y": y},
            },
        ],
    )


def sankey(links: Sequence[Json], nodes: Sequence[Json], *, depth: int, height: int) -> Json:
    """Flows from left to right, laid out already.

    Links: points of bands: id, x (0 to depth), y, y2. Nodes: x, x2, y, y2, ty, text.
    """
    scale = {"domain": [0, depth + 0.45]}
    x = {"field": "x", "type": "quantitative", "axis": None, "scale": scale}
    y = {
        "field": "y",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [0, 1], "reverse": True},
    }
    layers: list[Json] = [
        {
            "data": {"values": list(links)},
            "mark": {"type": "area", "opacity": 0.32, "interpolate": "linear"},
            "encoding": {
                "x": x,
                "y": {**y, "stack": None},
                "y2": {"field": "y2"},
                "detail": {"field": "id", "type": "nominal"},
                "color": {"field": "s", "type": "nominal", "legend": None, "sort": None},
            },
        },
        {
            "data": {"values": list(nodes)},
            "mark": {"type": "rect", "cornerRadius": 2},
            "encoding": {
                "x": x,
                "x2": {"field": "x2"},
                "y": y,
                "y2": {"field": "y2"},
                "color": {"field": "s", "type": "nominal", "legend": None, "sort": None},
            },
        },
        {
            "data": {"values": list(nodes)},
            "mark": {
                "type": "text",
                "align": "left",
                "baseline": "middle",
                "dx": 6,
                "limit": int(WIDE / (depth + 0.45) * 0.8),
            },
            "encoding": {
                "x": {**x, "field": "x2"},
                "y": {**y, "field": "ty"},
                "text": {"field": "text", "type": "nominal"},
            },
        },
    ]
    return {"width": WIDE, "height": height, "layer": layers}


def figures(items: Sequence[Json], *, trend: Sequence[Json] = (), caption: str = "") -> Json:
    """Big numbers beside one another, above a small line of the first one over time. Items: x
    (place), big, small. Trend: t (ISO, Z), v; `caption` says what it is.
    """
    x = {"field": "x", "type": "ordinal", "axis": None}
    room = WIDE / len(items)
    numbers = _frame(
        list(items),
        height=110,
        layer=[
            {
                "mark": {
                    "type": "text",
                    "fontSize": 54 if len(items) == 1 else 30,
                    "fontWeight": 700,
                    "y": 56,
                    "baseline": "alphabetic",
                    "limit": room - 12,
                },
                "encoding": {"x": x, "text": {"field": "big", "type": "nominal"}},
            },
            {
                "mark": {
                    "type": "text",
                    "y": 82,
                    "color": "$muted",
                    "fontSize": 13,
                    "limit": room - 8,
                },
                "encoding": {"x": x, "text": {"field": "small", "type": "nominal"}},
            },
        ],
    )
    return {"vconcat": [numbers, _small_line(trend, caption)], "spacing": 30} if trend else numbers


def _small_line(points: Sequence[Json], caption: str) -> Json:
    """A line without axes, its last point marked: what matters is which way it goes."""
    x = {"field": "t", "type": "temporal", "axis": None, "scale": {"type": "utc"}}
    y = _quantity("v", None, axis=None)
    line = {"color": "$accent", "strokeWidth": 2.5}
    last = {"type": "point", "filled": True, "size": 60, "color": "$accent", "opacity": 1}
    words = {"type": "text", "text": caption, "align": "left", "baseline": "bottom", "dy": -8}
    return _frame(
        list(points),
        height=72,
        layer=[
            {
                "mark": {"type": "area", "line": line, "fillOpacity": 0.16, "color": "$accent"},
                "encoding": {"x": x, "y": y},
            },
            {"data": {"values": list(points[-1:])}, "mark": last, "encoding": {"x": x, "y": y}},
            {
                "data": {"values": [{}]},
                "mark": {**words, "fontSize": 12, "color": "$muted"},
                "encoding": {"x": {"value": 0}, "y": {"value": 0}},
            },
        ],
    )


def sparkline(points: Sequence[Json], *, target: float | None, target_text: str) -> Json:
    """A small line over time, with its target. Points: t, v, s (which percentile)."""
    x = {
        "field": "t",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc"},
        "axis": {"format": "%-d %b", "tickCount": _ticks(points, 4)},
    }
    y = _quantity("v", None, axis={"tickCount": 4, "format": "~s"})
    layers: list[Json] = [
        {
            "mark": {"type": "line", "strokeWidth": 2, "interpolate": "monotone"},
            "encoding": {
                "x": x,
                "y": y,
                "color": {"field": "s", "type": "nominal", "title": None, "sort": None},
            },
        }
    ]
    if target is not None:
        highest = max(point["v"] for point in points)
        # Below the line, unless that is where the axis is.
        place = {"baseline": "top", "dy": 3} if highest < 5 * target else {}
        layers += _marked("y", target, target_text, align="left", x=4, **place)
    return {**_frame(list(points), height=130, layer=layers), "width": SMALL}


def calendar(days: Sequence[Json], *, title: str, months: Sequence[Json]) -> Json:
    """A year of days, weeks from left to right. Days: week (place), day (0 Monday), v."""
    x = {"field": "week", "type": "ordinal", "axis": None}
    y = {
        "field": "day",
        "type": "ordinal",
        "title": None,
        "sort": None,
        "axis": {"ticks": False, "domain": False},
    }
    return {
        "width": WIDE,
        "height": 7 * 15,
        "layer": [
            {
                "data": {"values": list(days)},
                "mark": {"type": "rect", "cornerRadius": 2, "stroke": "$surface", "strokeWidth": 2},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": {
                        **_quantity("v", title, legend=None),
                        "scale": {"range": "heatmap", "type": "sqrt"},
                    },
                },
            },
            {
                "data": {"values": list(months)},
                "mark": {"type": "text", "align": "left", "y": -8, "color": "$muted"},
                "encoding": {"x": x, "text": {"field": "text", "type": "nominal"}},
            },
        ],
    }


def narrowed(spec: Json) -> Json:
    """The same chart for a phone: narrower, with fewer labels."""
    if "vconcat" in spec:
        return {**spec, "vconcat": [narrowed(one) for one in spec["vconcat"]]}
    return {**spec, "width": NARROW}
