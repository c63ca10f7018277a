"""Which chart a result's shape asks for: from its columns and a sample of its rows alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from cdesk_app.render.table import Column, Table, View

ChartKind = Literal[
    "series",
    "events",
    "bars",
    "heatmap",
    "boxes",
    "histogram",
    "funnel",
    "retention",
    "paths",
    "figures",
    "none",
]

SAMPLE_ROWS: Final = 2_000
MAX_SERIES: Final = 8
MAX_CATEGORIES: Final = 40
_KEY = re.compile(r"(^|_)(id|hash|tag|key|uuid|place|rank|nth|occurrence|version|basis)$|^_", re.I)
_MEAN = re.compile(
    r"(avg|average|mean|median|min|max|rate|share|ratio|pct|percent|retention|convert|latency|duration|"
    r"seconds|coverage|score|price|temperature)|(^|_)p\d+(_|$)|_ms$",
    re.I,
)
WEEKDAY: Final = "weekday"
"""The column of days of the week, from Monday, 1."""
HOUR: Final = "hour_of_day"
BEFORE: Final = "_before"
"""How the column of a count ends that is of as long a time before."""
_LONG_TEXT: Final = 60
_LARGEST: Final = 1e290
_CLOCK_TEXT: Final = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]( [0-2][0-9]:[0-5][0-9])?\Z")


@dataclass(frozen=True, slots=True)
class Shape:
    """What to draw, and of which columns (places). `by`: columns of categories, at most two.

    before: the measure's column of the period before, where there is one (`<measure>_before`).
    additive: whether adding the measure up means something (counts, not percentiles).
    """

    kind: ChartKind
    time: int | None = None
    measure: int | None = None
    by: tuple[int, ...] = ()
    additive: bool = True
    before: int | None = None
    steps: tuple[int, ...] = field(default=())


def shape_of(table: Table) -> Shape:
    """The chart for a stored result; kind `none` where a table says it best."""
    if table.row_count == 0 or len(table.columns) > 60:
        return Shape("none")
    rows = table.page(View(), 0, SAMPLE_ROWS).rows
    return _named(table.columns) or _choose(table.columns, rows, table.row_count)


def is_additive(name: str) -> bool:
    return _MEAN.search(name) is None


def _named(columns: Sequence[Column]) -> Shape | None:
    """Results whose columns say what they are: retention, funnel, paths."""
    place = {column.name: column.place for column in reversed(columns)}
    numeric = {column.name for column in columns if column.type in ("integer", "number")}
    if "cohort_start" in place and "period" in place and "retention" in numeric:
        return Shape(
            "retention",
            measure=place["retention"],
            by=(place["cohort_start"], place["period"]),
            additive=False,
        )
    if {"step", "reached"} <= numeric:
        name = next((place[n] for n in ("activity", "name", "label") if n in place), place["step"])
        return Shape("funnel", measure=place["reached"], by=(name,))
    counts = [column for column in columns if _is_count_of(column)]
    if WEEKDAY in numeric and HOUR in numeric and counts:
        return Shape("heatmap", measure=counts[0].place, by=(place[WEEKDAY], place[HOUR]))
    steps = [place[f"step_{n}"] for n in range(1, 7) if f"step_{n}" in place]
    if steps and "start_activity" in place and "occurrences" in numeric:
        return Shape(
            "paths",
            measure=place["occurrences"],
            steps=(place["start_activity"], *steps),
        )
    return None


def _is_count_of(column: Column) -> bool:
    return column.type in ("integer", "number") and column.name not in (WEEKDAY, HOUR)


def main_measure(names: Sequence[str]) -> int:
    """Which of several measures a chart shows: the total, where there is one, else the first."""
    return next((n for n, name in enumerate(names) if name.startswith("total_")), 0)


def _choose(columns: Sequence[Column], rows: list[list[Any]], count: int) -> Shape:
    times = [c for c in columns if _is_time(rows, c) and _filled(rows, c)]
    measures = [
        c
        for c in columns
        if c.type in ("integer", "number")
        and not _KEY.search(c.name)
        and not c.name.endswith(BEFORE)
        and _drawable(rows, c)
    ]
    categories = [c for c in columns if c not in times and _is_category(c, rows)]
    if any(c.name == "unit" and _distinct(rows, c) > 1 for c in columns):
        return Shape("none")  # no scale holds milliseconds and shares
    first = measures[main_measure([c.name for c in measures])] if measures else None
    if count == 1:
        return Shape("figures") if measures else Shape("none")
    if times and all(times[0].place < c.place for c in (*categories[:1], *measures[:1])):
        shape = _over_time(times[0], categories, first, rows)
        if shape is not None:
            return replace(shape, before=_before(columns, first, shape))
    if first is None:
        return Shape("none")
    additive = is_additive(first.name)
    if len(categories) >= 2:
        a, b = categories[:2]
        both = {(_key(row[a.place]), _key(row[b.place])) for row in rows}
        if (
            len(both) == len(rows)
            and min(_distinct(rows, a), _distinct(rows, b)) >= 2
            and len(both) > max(_distinct(rows, a), _distinct(rows, b))
            and 2 * len(both) >= _distinct(rows, a) * _distinct(rows, b)
        ):
            return Shape("heatmap", measure=first.place, by=(a.place, b.place), additive=additive)
    for category in categories[:3]:
        distinct = _distinct(rows, category)
        if len(rows) >= 5 * distinct and distinct <= 12 and not _counts(first.name):
            return Shape("boxes", measure=first.place, by=(category.place,), additive=additive)
    if categories:
        # What each row is about, where a column says it; else what they have in common.
        names_each = (c for c in categories if _distinct(rows, c) == len(rows))
        category = next(names_each, categories[0])
        return Shape("bars", measure=first.place, by=(category.place,), additive=additive)
    if count >= 20 and _distinct(rows, first) > 5:
        return Shape("histogram", measure=first.place, additive=additive)
    return Shape("none")


def _over_time(
    time: Column, categories: Sequence[Column], measure: Column | None, rows: list[list[Any]]
) -> Shape | None:
    moments = _distinct(rows, time)
    if moments < 3:
        return None
    by = next(
        (c for c in categories if 2 <= _distinct(rows, c) <= MAX_SERIES),
        None,
    )
    if measure is None:
        return Shape("events", time=time.place, by=(by.place,) if by else ())
    # A row a moment (and series) is a series already; more rows are added up or averaged.
    return Shape(
        "series",
        time=time.place,
        measure=measure.place,
        by=(by.place,) if by and len(rows) > moments else (),
        additive=is_additive(measure.name),
    )


def _before(columns: Sequence[Column], measure: Column | None, shape: Shape) -> int | None:
    """Where the measure of the period before stands; only counts of one series are compared."""
    if measure is None or shape.by or not shape.additive:
        return None
    return next(
        (
            column.place
            for column in columns
            if column.name == measure.name + BEFORE and column.type in ("integer", "number")
        ),
        None,
    )


def _counts(name: str) -> bool:
    return bool(re.search(r"count|total|sum|number|occurrences", name, re.I))


def _key(value: Any) -> str:
    return repr(value)


def _is_time(rows: list[list[Any]], column: Column) -> bool:
    """Moments, dates, and texts that are days or hours of somebody's clock throughout."""
    if column.type != "string":
        return column.type in ("timestamp", "date")
    values = [row[column.place] for row in rows if row[column.place] is not None]
    return bool(values) and all(_CLOCK_TEXT.match(value) for value in values)


def _filled(rows: list[list[Any]], column: Column) -> bool:
    empty = sum(row[column.place] is None for row in rows)
    return empty * 2 < len(rows)


def fits(value: float) -> bool:
    """Whether a scale can hold it: a number, and not one at the end of all numbers."""
    return abs(value) <= _LARGEST


def _drawable(rows: list[list[Any]], column: Column) -> bool:
    """Whether the column has numbers, and none that a scale can't hold."""
    seen = False
    for row in rows:
        value = row[column.place]
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not fits(value):
                return False
            seen = True
    return seen


def _is_category(column: Column, rows: list[list[Any]]) -> bool:
    if column.type not in ("string", "boolean") or _KEY.search(column.name):
        return False
    values = [row[column.place] for row in rows if row[column.place] is not None]
    if any(len(str(value)) > _LONG_TEXT for value in values[:200]):
        return False
    distinct = len(set(values))
    if 2 * len(values) < len(rows):
        return False
    if distinct == 1 and len(rows) > 1:  # the same everywhere, as whose rows they are
        return False
    return distinct <= MAX_CATEGORIES or distinct == len(rows)


def _distinct(rows: list[list[Any]], column: Column) -> int:
    return len({_key(row[column.place]) for row in rows})
