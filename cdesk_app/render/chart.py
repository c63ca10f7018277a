"""A chart with its words, and what all drawers of charts share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdesk_app.render.shape import ChartKind, Shape
from cdesk_app.render.table import Table
from cdesk_app.render.words import (
    noun,
    title,
)

Json = dict[str, Any]

MAX_CELLS: Final = 1_200


@dataclass(frozen=True, slots=True)
class Chart:
    """What a result shows.

    headline: one sentence for a person. finding: one more, with figures. alt: what somebody who
    doesn't see the chart should know. spec: Vega-Lite without colors (`vega.themed`), None where
    the table itself says it best.
    """

    kind: ChartKind
    headline: str
    finding: str
    alt: str
    spec: Json | None
    totals: tuple[tuple[str, str], ...] = field(default=())


def counted_as(measure: str | None, params: Mapping[str, Any]) -> str:
    activity = params.get("activity")
    if isinstance(activity, str) and (measure is None or "activity" in measure):
        return noun(activity)
    if measure is None or measure == "activity_count":
        return "activities"
    one = measure.removesuffix("_count")
    return title(f"{one}s") if one != measure and not one.endswith("s") else title(measure)


def measure_of(shape: Shape) -> int:
    assert shape.measure is not None
    return shape.measure


def measured(table: Table, shape: Shape) -> str:
    measure = f"cast({table.sql_name(measure_of(shape))} as double)"
    return f"{'sum' if shape.additive else 'avg'}({measure}) filter (isfinite({measure}))"
