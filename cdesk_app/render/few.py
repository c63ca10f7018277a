"""What charts ask of a result of few rows that is in memory: the same as their SQL, which takes
longer to plan than these rows to go through. None stands for what is left to SQL.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from cdesk_app.render.shape import Shape
from cdesk_app.render.table import Table

_FIRST_YEAR: Final = 1973
"""Since then all time zones are quarters of an hour apart."""
_LAST_YEAR: Final = 2199


@dataclass(frozen=True, slots=True)
class Point:
    """One row: its moment (UTC, without saying so), its series, its finite measures."""

    at: datetime
    series: str
    value: float | None
    before: float | None


def points_of(table: Table, shape: Shape) -> list[Point] | None:
    """The rows that have a moment."""
    assert shape.time is not None
    given = table.few(shape.time)
    if given is None or table.columns[shape.time].type not in ("timestamp", "date"):
        return None
    moments = [_moment(value) for value in given]
    if any(at is not None and not _FIRST_YEAR <= at.year <= _LAST_YEAR for at in moments):
        return None
    series = _names(table, shape.by[0]) if shape.by else [""] * len(moments)
    values = [1.0] * len(moments) if shape.measure is None else _doubles(table, shape.measure)
    before = [None] * len(moments) if shape.before is None else _doubles(table, shape.before)
    if series is None or values is None or before is None:
        return None
    rows = zip(moments, series, values, before, strict=True)
    return [Point(at, name, v, b) for at, name, v, b in rows if at is not None]


def over_time(
    points: Sequence[Point], shape: Shape, step: str, zone: tzinfo | None
) -> list[tuple[datetime, str, float, float | None]]:
    """(moment, series, value, value before) by calendar unit, in this order; `zone`: whose calendar
    it is, None where moments are of no zone.
    """
    groups: dict[tuple[datetime, str], list[Point]] = {}
    local: dict[datetime, datetime] = {}
    width = 1 if step == "minute" else 15
    for point in points:
        minute = point.at.minute // width * width
        at = point.at.replace(minute=minute, second=0, microsecond=0)
        if at not in local:
            moved = at
            if zone is not None:
                moved = at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
            local[at] = _truncated(moved, step)
        groups.setdefault((local[at], point.series), []).append(point)
    rows = []
    for (at, name), group in sorted(groups.items()):
        value = _total([one.value for one in group], additive=shape.additive)
        if value is not None:
            before = _total([one.before for one in group], additive=True)
            rows.append((at, name, value, before))
    return rows


def by_category(
    table: Table, shape: Shape
) -> tuple[list[tuple[str, float]], tuple[float | None, float | None, int]] | None:
    """(category, value), the largest first; and of all rows: value, least one, categories."""
    assert shape.measure is not None
    names, values = _names(table, shape.by[0]), _doubles(table, shape.measure)
    if names is None or values is None:
        return None
    groups: dict[str, list[float | None]] = {}
    for name, value in zip(names, values, strict=True):
        if value is not None:
            groups.setdefault(name, []).append(value)
    found = [
        (name, total)
        for name, group in groups.items()
        if (total := _total(group, additive=shape.additive)) is not None
    ]
    finite = [value for value in values if value is not None]
    total = _total(finite, additive=shape.additive)
    whole = (total, min(finite, default=None), len(groups))
    return sorted(found, key=lambda one: (-one[1], one[0])), whole


def _total(values: Sequence[float | None], *, additive: bool) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return sum(known) if additive else sum(known) / len(known)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    return datetime.combine(value, time()) if isinstance(value, date) else None


def _truncated(at: datetime, step: str) -> datetime:
    if step == "minute":
        return at
    at = at.replace(minute=0)
    if step == "hour":
        return at
    at = at.replace(hour=0)
    if step == "week":
        return at - timedelta(days=at.weekday())
    if step == "day":
        return at
    month = {"month": at.month, "quarter": (at.month - 1) // 3 * 3 + 1, "year": 1}[step]
    return at.replace(month=month, day=1)


def _names(table: Table, place: int) -> list[str] | None:
    """A column of categories as text."""
    given = table.few(place)
    if given is None or not all(value is None or isinstance(value, str | bool) for value in given):
        return None
    texts = {None: "none", True: "true", False: "false"}
    return [value if isinstance(value, str) else texts[value] for value in given]


def _doubles(table: Table, place: int) -> list[float | None] | None:
    """A column of numbers, those that are finite."""
    given = table.few(place)
    if given is None:
        return None
    found: list[float | None] = []
    for value in given:
        if value is not None and not isinstance(value, int | float | Decimal):
            return None
        double = None if value is None else float(value)
        found.append(double if double is not None and math.isfinite(double) else None)
    return found
