"""The chart of a stored result and what it shows, in words: headline, finding, alternative text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Any, Final

from cdesk_app.render import vega
from cdesk_app.render.categories import draw_bars, draw_boxes, draw_heatmap, draw_histogram
from cdesk_app.render.chart import Chart, counted_as
from cdesk_app.render.journeys import draw_funnel, draw_paths, draw_retention
from cdesk_app.render.over_time import draw_series, trend_of
from cdesk_app.render.shape import BEFORE, Shape, is_additive, main_measure, shape_of
from cdesk_app.render.table import Table, View
from cdesk_app.render.words import (
    change,
    listed,
    number,
    percent,
    plural,
    title,
)

_SHARES: Final = ("share", "rate", "coverage", "conversion", "retention")


def chart_of(
    table: Table,
    params: Mapping[str, Any],
    zone: tzinfo,
    *,
    sampled: bool = False,
    series: Table | None = None,
) -> Chart:
    """Choose, aggregate and describe. `params` are the question's, for the words alone; `sampled`
    makes the words speak of a sample. `series`: the answer over time that stands behind one of a
    single row, where there is one.

    Raises:
        ArtifactUnreadable, QueryTimedOut: as Table.
    """
    shape = shape_of(table)
    drawn: Chart | None
    if shape.kind == "figures":
        drawn = _figures(table, params, zone, series)
    else:
        with table.one_connection():
            drawn = _DRAWERS.get(shape.kind, _no_chart)(table, shape, params, zone)
    chart = drawn or _no_chart(table, shape, params, zone)
    if not sampled:
        return chart
    sample = f"In a sample of {plural(table.row_count, 'row')}: "
    return replace(chart, headline=sample + chart.headline, alt=chart.alt and sample + chart.alt)


def _figures(
    table: Table,
    params: Mapping[str, Any],
    zone: tzinfo,
    series: Table | None,
) -> Chart:
    """One row: its numbers, the first one with what is known of the time before and behind it."""
    row = table.page(View(), 0, 1).rows[0]
    found = {
        column.name: value
        for column in table.columns
        if isinstance(value := row[column.place], int | float) and not isinstance(value, bool)
    }
    before = {name: found.pop(name) for name in list(found) if name.endswith(BEFORE)}
    main = list(found)[main_measure(list(found))]
    found = {main: found.pop(main), **found}
    texts = [(title(name), _figure(name, value)) for name, value in found.items()]
    name, value = next(iter(found.items()))
    is_count = isinstance(value, int) and is_additive(name) and name.endswith("_count")
    headline = f"{texts[0][0]}: {texts[0][1]}"
    if is_count:
        headline = f"{texts[0][1]} {counted_as(name, params)}"
    earlier = before.get(name + BEFORE)
    if earlier is not None and (moved := change(earlier, value)):
        headline += f", {moved} {'as' if moved == 'as many' else 'than'} the time before"
    trend = None if series is None else trend_of(series, name, zone)
    sentences = ["; ".join(f"{one} {text}" for one, text in texts[1:6]) + "." if texts[1:] else ""]
    sentences += [f"{number(earlier)} the time before." if earlier is not None else ""]
    sentences += [trend.text if trend else ""]
    finding = " ".join(filter(None, sentences)) or "One value."
    items = [{"x": str(n), "big": text, "small": name} for n, (name, text) in enumerate(texts[:4])]
    alt = f"{headline}. {finding}"
    spec = vega.figures(items)
    if trend is not None:
        caption = f"{texts[0][0]} by {trend.step}"
        spec = vega.figures(items, trend=trend.points, caption=caption)
        alt += f" A small line shows {caption}."
    return Chart("figures", headline, finding, alt, spec)


def _figure(name: str, value: float) -> str:
    if isinstance(value, float) and name.endswith(_SHARES):
        return percent(value)
    return number(value)


def _no_chart(table: Table, _shape: Shape, _params: Mapping[str, Any], _zone: tzinfo) -> Chart:
    if table.row_count == 0:
        return Chart(
            "none",
            "Nothing was found: the result has no rows",
            "Try a longer time range or other parameters.",
            "",
            None,
        )
    headline = f"{plural(table.row_count, 'row')} with {plural(len(table.columns), 'column')}"
    names = listed([title(column.name) for column in table.columns], most=5)
    return Chart("none", headline, f"Each has {names}.", "", None)


_DRAWERS: Final = {
    "series": draw_series,
    "events": draw_series,
    "bars": draw_bars,
    "heatmap": draw_heatmap,
    "boxes": draw_boxes,
    "histogram": draw_histogram,
    "funnel": draw_funnel,
    "retention": draw_retention,
    "paths": draw_paths,
}
