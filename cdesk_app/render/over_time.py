"""Charts over time: a measure by moment, or how often something happened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from cdesk_app.render import vega
from cdesk_app.render.chart import Chart, Json, counted_as, measure_of
from cdesk_app.render.few import Point, over_time, points_of
from cdesk_app.render.shape import MAX_SERIES, Shape, fits, shape_of
from cdesk_app.render.table import Table
from cdesk_app.render.words import (
    change,
    label,
    listed,
    locale_formats,
    number,
    percent,
    plural,
    title,
)

MAX_POINTS: Final = 400
MAX_YEARS: Final = 200
"""A longer span comes from placeholders (year 1, year 9999), and is no series."""
_EXACT: Final = 10_000
_UNITS: Final = {
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_629_746,
    "quarter": 7_889_238,
    "year": 31_556_952,
}
"""Seconds of each; of those from the month on, as many as it has on average."""

FEW_POINTS: Final = 3
"""Fewer than that are no line."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The series behind one value, in words and points (t, v)."""

    points: list[Json]
    step: str
    text: str


def trend_of(table: Table, measure: str, zone: tzinfo) -> Trend | None:
    """The series of the column `measure` in a table over time; None where there is none, or too
    short a one.

    Raises:
        ArtifactUnreadable, QueryTimedOut: as Table.
    """
    shape = shape_of(table)
    if shape.kind != "series" or shape.by:
        return None
    if table.columns[measure_of(shape)].name != measure:
        return None
    points, step = _over_time(table, shape, zone)
    points = _with_gaps(points, step) if shape.additive else points
    if len(points) < FEW_POINTS:
        return None
    values = [point["v"] for point in points]
    high = max(points, key=lambda point: point["v"])
    half = len(values) // 2
    text = f"By {step}: highest at {number(high['v'])} ({_day(high['t'], step)})"
    if moved := change(sum(values[:half]), sum(values[-half:])):
        than = "as" if moved == "as many" else "than"
        text += f", {moved} in the second half {than} in the first"
    return Trend([{"t": point["t"], "v": point["v"]} for point in points], step, f"{text}.")


def draw_series(
    table: Table, shape: Shape, params: Mapping[str, Any], zone: tzinfo
) -> Chart | None:
    points, step = _over_time(table, shape, zone)
    if len({point["t"] for point in points}) < 2:
        return None
    measure = None if shape.measure is None else table.columns[shape.measure].name
    what = counted_as(measure, params)
    names = [str(name) for name in dict.fromkeys(p["s"] for p in points)] if shape.by else []
    if names:
        return _several(points, names, what, step, shape, table)
    if shape.additive:
        points = _with_gaps(points, step)
    values = [point["v"] for point in points]
    mean = sum(values) / len(values)
    total = sum(values)
    low, high = (pick(points, key=lambda p: p["v"]) for pick in (min, max))
    span = _span(points, step, params)
    before = sum(point.get("b", 0.0) for point in points)
    compared = change(before, total)
    half = len(values) // 2
    trend = change(sum(values[:half]), sum(values[len(values) - half :])) if half >= 2 else None
    if shape.additive:
        headline = f"{number(total)} {what} in {span}"
        if compared:
            count, unit = span.split(" ")
            than = f"the {unit if count == '1' else count} before"
            headline += f", {compared} {'as in' if compared == 'as many' else 'than'} {than}"
        elif trend:
            than = "as" if trend == "as many" else "than"
            headline += f", {trend} in the second half {than} in the first"
    else:
        headline = (
            f"{what}: {number(values[-1])} most recently, {number(mean)} on average over {span}"
        )
    finding = (
        f"Highest at {number(high['v'])} ({_day(high['t'], step)}), lowest at {number(low['v'])} "
        f"({_day(low['t'], step)})"
    )
    finding += f"; {number(mean)} a {step} on average." if shape.additive else "."
    if compared:
        finding += f" {number(before)} in the {span} before."
    spec = vega.series(
        points,
        title=what,
        date_format=_FORMATS[step],
        mean=mean,
        mean_text=f"mean {number(mean)}",
        has_series=False,
        before=f"the {span} before" if compared else None,
    )
    drawn = "Area chart, with a line for the time before," if compared else "Area chart"
    alt = f"{drawn} of {what} by {step} over {span}. {headline}. {finding}"
    totals = (("total", number(total)), (f"mean a {step}", number(mean))) if shape.additive else ()
    return Chart(shape.kind, headline, finding, alt, spec, totals)


def _several(
    points: list[Json], names: list[str], what: str, step: str, shape: Shape, table: Table
) -> Chart:
    sums: dict[str, float] = defaultdict(float)
    for point in points:
        sums[point["s"]] += point["v"]
    order = sorted(names, key=lambda name: -sums[name])
    shown = [
        {**point, "s": label(point["s"])}
        for name in order
        for point in points
        if point["s"] == name
    ]
    span = _span(points, step, {})
    by = title(table.columns[shape.by[0]].name)
    total = sum(sums.values())
    if shape.additive and total > 0:
        headline = (
            f"{number(total)} {what} in {span}, {percent(sums[order[0]] / total)} of them "
            f"{label(order[0])}"
        )
    else:
        headline = f"{what} by {by} over {span}: {label(order[0])} is highest"
    finding = "; ".join(f"{label(name)} {number(sums[name])}" for name in order[:4]) + "."
    if not shape.additive:
        counts = Counter(point["s"] for point in points)
        finding = (
            "; ".join(f"{label(n)} {number(sums[n] / counts[n])} on average" for n in order[:4])
            + "."
        )
    spec = vega.series(
        shown,
        title=what,
        date_format=_FORMATS[step],
        mean=None,
        mean_text="",
        has_series=True,
    )
    alt = (
        f"Line chart of {what} by {step}, one line each for {listed([label(n) for n in order])}. "
        f"{headline}. {finding}"
    )
    totals = (("total", number(total)),) if shape.additive else ()
    return Chart(shape.kind, headline, finding, alt, spec, totals)


def _over_time(table: Table, shape: Shape, zone: tzinfo) -> tuple[list[Json], str]:
    """Points by moment (and series), and the step between them: minute, hour, day, …"""
    assert shape.time is not None
    column = table.columns[shape.time]
    few = points_of(table, shape)
    count, low, high = _reach(table, shape) if few is None else _reach_of(few)
    if low is None or high is None or high.year - low.year > MAX_YEARS:
        return [], "day"
    step = _step_of(low, high, count, is_raw=shape.kind == "events", is_date=column.type == "date")
    if few is None:
        rows = _by_step(table, shape, step, zone)
    else:
        rows = over_time(few, shape, step, zone if column.type == "timestamp" else None)
    points = [
        {
            "t": t.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0"),
            "s": s,
            "v": float(v),
            **({} if shape.before is None else {"b": float(b or 0)}),
        }
        for t, s, v, b in rows[: MAX_POINTS * (MAX_SERIES + 1)]
        if fits(v)
    ]
    return points, step


def _reach_of(points: Sequence[Point]) -> tuple[int, datetime | None, datetime | None]:
    moments = {point.at for point in points}
    return len(moments), min(moments, default=None), max(moments, default=None)


def _reach(table: Table, shape: Shape) -> tuple[int, datetime | None, datetime | None]:
    """How many moments there are, the first and the last."""
    name = _moment_name(table, shape)
    is_short = table.row_count < _EXACT
    how_many = f"count(distinct {name})" if is_short else f"approx_count_distinct({name})"
    found = table.aggregate(
        f"select {how_many}, cast(min({name}) as timestamp), "
        f"cast(max({name}) as timestamp) from source "
        f"where isfinite({name}) and {name} between '0001-01-02' and '9999-12-30'"
    )
    count, low, high = found[0]
    if low is None or high.year - low.year > MAX_YEARS:
        return 0, low, high
    if count < _EXACT and not is_short:  # the estimate is good for large numbers only
        ((count,),) = table.aggregate(f"select count(distinct {name}) from source")
    return int(count), low, high


def _moment_name(table: Table, shape: Shape) -> str:
    assert shape.time is not None
    name = table.sql_name(shape.time)
    # a day or an hour of the person's clock may be text
    is_text = table.columns[shape.time].type == "string"
    return f"try_cast({name} as timestamp)" if is_text else name


def _by_step(table: Table, shape: Shape, step: str, zone: tzinfo) -> list[tuple[Any, ...]]:
    """(moment, series, value, value before) by calendar unit, in this order."""
    assert shape.time is not None
    name = _moment_name(table, shape)
    is_moment = table.columns[shape.time].type == "timestamp"
    value, measure = "sum(n)", "cast(1 as double)"
    earlier = "null"
    if shape.before is not None:
        earlier = f"cast({table.sql_name(shape.before)} as double)"
    if shape.measure is not None:
        measure = f"cast({table.sql_name(shape.measure)} as double)"
        value = "sum(v)" if shape.additive else "sum(v) / nullif(sum(n), 0)"
    by = f"coalesce(cast({table.sql_name(shape.by[0])} as varchar), 'none')" if shape.by else "''"
    # Time zones differ by quarters of an hour: what lies in one is put together before the zone's
    # own calendar, which costs more a row, is asked.
    moment = (
        f"time_bucket(interval '{1 if step == 'minute' else 15} minutes', cast({name} as "
        f"timestamp))"
    )
    local = "timezone(?, cast(q as timestamptz))" if is_moment else "q"
    return table.aggregate(
        f"with quarters as (select {moment} as q, {by} as s, "
        f"sum({measure}) filter (isfinite({measure})) as v, count(*) filter (isfinite({measure})) "
        f"as n, sum({earlier}) filter (isfinite({earlier})) as b "
        f"from source where isfinite({name}) group by q, s) "
        f"select date_trunc(?, {local}) as t, s, {value} as v, sum(b) as b from quarters "
        f"group by t, s having {value} is not null order by t, s limit ?",
        [step, *([str(zone)] if is_moment else []), MAX_POINTS * (MAX_SERIES + 1)],
    )


def _step_of(low: datetime, high: datetime, count: int, *, is_raw: bool, is_date: bool) -> str:
    """The calendar unit that makes at most MAX_POINTS of a span, and no finer than the data is."""
    seconds = max((high - low).total_seconds(), 1.0)
    most = 60 if is_raw else MAX_POINTS
    apart = 0.0 if is_raw else seconds / max(count - 1, 1)
    for unit, length in _UNITS.items():
        if is_date and length < 86_400:
            continue
        if seconds / length <= most and (length * 1.9 >= apart or unit == "year"):
            return unit
    return "year"


def _with_gaps(points: list[Json], step: str) -> list[Json]:
    """A count's series with zero where nothing was counted."""
    length = _UNITS[step]
    if length > _UNITS["week"] or len(points) < 2:
        return points
    known = {point["t"]: point for point in points}
    at, end = (datetime.fromisoformat(points[i]["t"]) for i in (0, -1))
    if (end - at).total_seconds() / length > MAX_POINTS:
        return points
    zero = {**points[0], "v": 0.0, **({"b": 0.0} if "b" in points[0] else {})}
    filled = []
    while at <= end:
        text = at.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
        filled.append(known.pop(text, {**zero, "t": text}))
        at += timedelta(seconds=length)
    return points if known else filled


_FORMATS: Final = {
    "minute": "%H:%M",
    "hour": "%-d %b %H:%M",
    "day": "%-d %b",
    "week": "%-d %b",
    "month": "%b %Y",
    "quarter": "%b %Y",
    "year": "%Y",
}


def _day(text: str, step: str) -> str:
    at = datetime.fromisoformat(text)
    if not (formats := locale_formats()).is_plain and step not in ("month", "quarter", "year"):
        return formats.moment(at) if step in ("minute", "hour") else formats.day(at)
    if step in ("minute", "hour"):
        return f"{at.day} {at:%b} {at:%H:%M}"
    return (
        f"{at:%b} {at.year}"
        if step in ("month", "quarter")
        else (str(at.year) if step == "year" else f"{at.day} {at:%b %Y}")
    )


def _span(points: Sequence[Json], step: str, params: Mapping[str, Any]) -> str:
    for name, unit in (("days_back", "day"), ("hours_back", "hour")):
        if isinstance(asked := params.get(name), int):
            whole_days = unit == "hour" and asked >= 48 and asked % 24 == 0
            return plural(asked // 24, "day") if whole_days else plural(asked, unit)
    low, high = (datetime.fromisoformat(points[i]["t"]) for i in (0, -1))
    return plural(round((high - low).total_seconds() / _UNITS[step]) + 1, step)
