"""The chart of a stored result and what it shows, in words: headline, finding, alternative text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Any, Final

from cdesk_app.render import vega
from cdesk_app.render.categories import draw_bars, draw_boxes, draw_heatmap, draw_histogram
from cdesk_app.render.chart import Chart
from cdesk_app.render.journeys import draw_funnel, draw_paths, draw_retention
from cdesk_app.render.over_time import draw_series
from cdesk_app.render.shape import Shape, shape_of
from cdesk_app.render.table import Table, View
from cdesk_app.render.words import (
    listed,
    number,
    percent,
    plural,
    title,
)


def chart_of(
    table: Table, params: Mapping[str, Any], zone: tzinfo, *, sampled: bool = False
) -> Chart:
    """Choose, aggregate and describe. `params` are the question's, for the words alone; `sampled`
    makes the words speak of a sample.

    Raises:
        ArtifactUnreadable, QueryTimedOut: as Table.
    """
    shape = shape_of(table)
    draw = _DRAWERS.get(shape.kind, _no_chart)
    chart = draw(table, shape, params, zone) or _no_chart(table, shape, params, zone)
    if not sampled:
        return chart
    sample = f"In a sample of {plural(table.row_count, 'row')}: "
    return replace(chart, headline=sample + chart.headline, alt=chart.alt and sample + chart.alt)


def _figures(
    table: Table, _shape: Shape, _params: Mapping[str, Any], _zone: tzinfo
) -> Chart | None:
    row = table.page(View(), 0, 1).rows[0]
    found = [
        (title(column.name), value, column)
        for column, value in zip(table.columns, row, strict=True)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]
    if not found:
        return None
    texts = [
        (
            name,
            percent(v)
            if isinstance(v, float) and c.name.endswith(("share", "rate", "coverage"))
            else number(v),
        )
        for name, v, c in found
    ]
    headline = f"{texts[0][0]}: {texts[0][1]}"
    finding = "; ".join(f"{name} {text}" for name, text in texts[1:6])
    finding = finding + "." if finding else "One value."
    items = [{"x": str(n), "big": text, "small": name} for n, (name, text) in enumerate(texts[:4])]
    alt = f"{headline}. {finding}"
    return Chart("figures", headline, finding, alt, vega.figures(items))


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
    "figures": _figures,
}
