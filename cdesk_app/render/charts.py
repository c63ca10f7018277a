"""The chart of a stored result and what it shows, in words: headline, finding, alternative text."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Final

from cdesk.core.clock import parse_ts
from cdesk_app.render import vega
from cdesk_app.render.shape import MAX_SERIES, ChartKind, Shape, shape_of
from cdesk_app.render.table import Table, View
from cdesk_app.render.words import (
    change,
    in_zone,
    label,
    listed,
    noun,
    number,
    percent,
    plural,
    title,
)

Json = dict[str, Any]

MAX_POINTS: Final = 400
MAX_BARS: Final = 15
MAX_CELLS: Final = 1_200
RAW_ROWS: Final = 5_000
MAX_YEARS: Final = 200
"""A longer span comes from placeholders (year 1, year 9999), and is no series."""
_BINS: Final = 24
_EXACT: Final = 10_000
_UNITS: Final = ("minute", "hour", "day", "week", "month", "quarter", "year")
_UNIT_SECONDS: Final = (60, 3_600, 86_400, 604_800, 2_629_746, 7_889_238, 31_556_952)


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


# -- over time


def _series(table: Table, shape: Shape, params: Mapping[str, Any], zone: tzinfo) -> Chart | None:
    points, step = _over_time(table, shape, zone)
    if len({point["t"] for point in points}) < 2:
        return None
    measure = None if shape.measure is None else table.columns[shape.measure]
    what = _what(measure.name if measure else None, params)
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
    half = len(values) // 2
    trend = change(sum(values[:half]), sum(values[len(values) - half :])) if half >= 2 else None
    if shape.additive:
        headline = f"{number(total)} {what} in {span}"
        if trend:
            headline += f", {trend} in the second half than in the first".replace(
                "as many in the second half than", "as many in the second half as"
            )
    else:
        headline = (
            f"{what}: {number(values[-1])} most recently, {number(mean)} on average over {span}"
        )
    finding = (
        f"Highest at {number(high['v'])} ({_day(high['t'], step)}), lowest at {number(low['v'])} "
        f"({_day(low['t'], step)})"
    )
    finding += f"; {number(mean)} a {step} on average." if shape.additive else "."
    spec = vega.series(
        points,
        title=what,
        date_format=_FORMATS[step],
        mean=mean,
        mean_text=f"mean {number(mean)}",
        has_series=False,
    )
    alt = f"Area chart of {what} by {step} over {span}. {headline}. {finding}"
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
    alt = f"Line chart of {what} by {step}, one line each for {listed([label(n) for n in order])}. {headline}. {finding}"
    totals = (("total", number(total)),) if shape.additive else ()
    return Chart(shape.kind, headline, finding, alt, spec, totals)


def _over_time(table: Table, shape: Shape, zone: tzinfo) -> tuple[list[Json], str]:
    """Points by moment (and series), and the step between them: minute, hour, day, …"""
    assert shape.time is not None
    column = table.columns[shape.time]
    name = table.sql_name(shape.time)
    is_moment = column.type == "timestamp"
    found = table.aggregate(
        f"select approx_count_distinct({name}), cast(min({name}) as timestamp), "
        f"cast(max({name}) as timestamp) from source "
        f"where isfinite({name}) and {name} between '0001-01-02' and '9999-12-30'"
    )
    count, low, high = found[0]
    if not count or low is None or high.year - low.year > MAX_YEARS:
        return [], "day"
    if count < _EXACT:  # the estimate is good for large numbers only
        ((count,),) = table.aggregate(f"select count(distinct {name}) from source")
    step = _step_of(low, high, int(count), is_raw=shape.kind == "events", is_date=not is_moment)
    value, measure = "sum(n)", "cast(1 as double)"
    if shape.measure is not None:
        measure = f"cast({table.sql_name(shape.measure)} as double)"
        value = "sum(v)" if shape.additive else "sum(v) / nullif(sum(n), 0)"
    by = f"coalesce(cast({table.sql_name(shape.by[0])} as varchar), 'none')" if shape.by else "''"
    # Time zones differ by quarters of an hour: what lies in one is put together before the zone's
    # own calendar, which costs more a row, is asked.
    moment = f"time_bucket(interval '{1 if step == 'minute' else 15} minutes', cast({name} as timestamp))"
    local = "timezone(?, cast(q as timestamptz))" if is_moment else "q"
    rows = table.aggregate(
        f"with quarters as (select {moment} as q, {by} as s, "
        f"sum({measure}) filter (isfinite({measure})) as v, count(*) filter (isfinite({measure})) as n "
        f"from source where isfinite({name}) group by q, s) "
        f"select date_trunc(?, {local}) as t, s, {value} as v from quarters "
        f"group by t, s having {value} is not null order by t, s limit ?",
        [step, *([str(zone)] if is_moment else []), MAX_POINTS * (MAX_SERIES + 1)],
    )
    points = [
        {"t": t.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0"), "s": s, "v": float(v)}
        for t, s, v in rows
        if math.isfinite(v) and abs(v) < 1e290
    ]
    return points, step


def _step_of(low: datetime, high: datetime, count: int, *, is_raw: bool, is_date: bool) -> str:
    """The calendar unit that makes at most MAX_POINTS of a span, and no finer than the data is."""
    seconds = max((high - low).total_seconds(), 1.0)
    most = 60 if is_raw else MAX_POINTS
    apart = 0.0 if is_raw else seconds / max(count - 1, 1)
    for unit, length in zip(_UNITS, _UNIT_SECONDS, strict=True):
        if is_date and length < 86_400:
            continue
        if seconds / length <= most and (length * 1.9 >= apart or unit == "year"):
            return unit
        if apart and length * 1.9 >= apart and seconds / length <= most:
            return unit
    return "year"


def _with_gaps(points: list[Json], step: str) -> list[Json]:
    """A count's series with zero where nothing was counted."""
    length = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}.get(step)
    if length is None or len(points) < 2:
        return points
    known = {point["t"]: point for point in points}
    at, end = (datetime.fromisoformat(points[i]["t"]) for i in (0, -1))
    if (end - at).total_seconds() / length > MAX_POINTS:
        return points
    filled = []
    while at <= end:
        text = at.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
        filled.append(known.pop(text, {"t": text, "s": "", "v": 0.0}))
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
    length = dict(zip(_UNITS, _UNIT_SECONDS, strict=True))[step]
    return plural(round((high - low).total_seconds() / length) + 1, step)


# -- categories


def _bars(table: Table, shape: Shape, params: Mapping[str, Any], _zone: tzinfo) -> Chart | None:
    points = _by_category(table, shape, MAX_BARS + 1)
    if not points:
        return None
    measure = table.columns[_measure(shape)].name
    what, by = _what(measure, {}), title(table.columns[shape.by[0]].name)
    total_row = table.aggregate(
        f"select {_sum(table, shape)}, count(distinct {table.sql_name(shape.by[0])}) from source"
    )[0]
    total, kinds = float(total_row[0] or 0.0), int(total_row[1])
    shown = points[:MAX_BARS]
    top = shown[0]
    share = top["v"] / total if shape.additive and total > 0 else None
    days = (
        f" in {plural(params['days_back'], 'day')}"
        if isinstance(params.get("days_back"), int)
        else ""
    )
    if share is not None and all(point["v"] >= 0 for point in points):
        headline = f"{top['x']} leads with {number(top['v'])}{days}: {percent(share)} of {number(total)} in {what}"
    else:
        headline = f"{top['x']} leads with {number(top['v'])} in {what}{days}"
    finding = "; ".join(f"{p['x']} {number(p['v'])}" for p in shown[:4])
    finding += f"; {kinds - 4:,} more." if kinds > 4 else "."
    data = [{"x": p["x"], "v": p["v"], "text": number(p["v"])} for p in _unique(shown)]
    alt = f"Bar chart of {what} by {by}, highest first. {headline}. {finding}"
    totals = (("total", number(total)),) if shape.additive else ()
    return Chart("bars", headline, finding, alt, vega.bars(data, title=what), totals)


def _by_category(table: Table, shape: Shape, limit: int) -> list[Json]:
    name = table.sql_name(shape.by[0])
    rows = table.aggregate(
        f"select coalesce(cast({name} as varchar), 'none') as x, {_sum(table, shape)} as v from source "
        f"group by x having v is not null order by v desc, x limit ?",
        [limit],
    )
    return [{"x": label(x), "v": float(v)} for x, v in rows if math.isfinite(v) and abs(v) < 1e290]


def _unique(points: Sequence[Json]) -> list[Json]:
    """Labels that are equal after cutting stay bars of their own."""
    seen: Counter[str] = Counter()
    result = []
    for point in points:
        seen[point["x"]] += 1
        mark = "" if seen[point["x"]] == 1 else f" ({seen[point['x']]})"
        result.append({**point, "x": point["x"] + mark})
    return result


def _heatmap(table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo) -> Chart | None:
    a, b = (table.sql_name(place) for place in shape.by)
    rows = table.aggregate(
        f"select coalesce(cast({a} as varchar), 'none') as y, coalesce(cast({b} as varchar), 'none') as x, "
        f"{_sum(table, shape)} as v from source group by y, x having v is not null order by v desc, y, x limit ?",
        [MAX_CELLS],
    )
    cells = [
        (label(y), label(x), float(v)) for y, x, v in rows if math.isfinite(v) and abs(v) < 1e290
    ]
    if not cells:
        return None
    sums: dict[tuple[int, str], float] = defaultdict(float)
    for y, x, v in cells:
        sums[0, y] += v
        sums[1, x] += v
    ys, xs = (
        [
            name
            for (axis, name), _ in sorted(sums.items(), key=lambda item: -item[1])
            if axis == which
        ][:most]
        for which, most in ((0, 20), (1, 16))
    )
    ys, xs = _in_order(ys), _in_order(xs)
    what = _what(table.columns[_measure(shape)].name, {})
    names = [title(table.columns[place].name) for place in shape.by]
    best = max(cells, key=lambda one: one[2])
    points = _cells([one for one in cells if one[0] in ys and one[1] in xs], ys, xs)
    headline = f"{best[0]} and {best[1]} stand out with {number(best[2])} in {what}"
    finding = f"{plural(len(ys), 'row')} by {plural(len(xs), 'column')}; the lowest is {number(min(one[2] for one in cells))}."
    spec = vega.heatmap(
        points,
        x_title=names[1],
        y_title=names[0],
        title=what,
        rows=len(ys),
        text_format="~s",
        with_text=len(xs) <= 10,
    )
    alt = f"Heatmap of {what} by {names[0]} and {names[1]}. {headline}. {finding}"
    return Chart("heatmap", headline, finding, alt, spec)


_WEEKDAYS: Final = {
    name: n for n, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
}


def _in_order(names: list[str]) -> list[str]:
    """Days of the week and numbers in their own order; anything else as it is."""
    if all(name[:3].lower() in _WEEKDAYS for name in names):
        return sorted(names, key=lambda name: _WEEKDAYS[name[:3].lower()])
    if all(name.isdecimal() for name in names):
        return sorted(names, key=int)
    return names


def _cells(
    cells: Sequence[tuple[str, str, float]], ys: Sequence[str], xs: Sequence[str]
) -> list[Json]:
    """Cells in the order of their axes; `strong` ones are dark."""
    values = [v for _, _, v in cells]
    low, high = min(values, default=0.0), max(values, default=0.0)
    middle = low + (high - low) * 0.55
    order = {name: place for place, name in enumerate(ys)}
    across = {name: place for place, name in enumerate(xs)}
    known = {(y, x): v for y, x, v in cells}
    return [
        {"x": x, "y": y, "v": known[y, x], "strong": known[y, x] > middle}
        for y in order
        for x in across
        if (y, x) in known
    ]


def _boxes(table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo) -> Chart | None:
    name = table.sql_name(shape.by[0])
    measure = f"cast({table.sql_name(_measure(shape))} as double)"
    rows = table.aggregate(
        f"select coalesce(cast({name} as varchar), 'none') as x, "
        f"quantile_cont({measure}, [0.05, 0.25, 0.5, 0.75, 0.95]) as q, count(*) as n from source "
        f"where isfinite({measure}) group by x order by q[3] desc, x limit ?",
        [MAX_BARS],
    )
    data = [
        {"x": label(x), "low": q[0], "q1": q[1], "mid": q[2], "q3": q[3], "high": q[4]}
        for x, q, _ in rows
        if all(math.isfinite(v) and abs(v) < 1e290 for v in q)
    ]
    if not data:
        return None
    what, by = title(table.columns[_measure(shape)].name), title(table.columns[shape.by[0]].name)
    first, last = data[0], data[-1]
    headline = f"{what} is highest for {first['x']}: median {number(first['mid'])}"
    if len(data) > 1:
        headline += f", against {number(last['mid'])} for {last['x']}"
    finding = (
        "; ".join(
            f"{d['x']}: half lie between {number(d['q1'])} and {number(d['q3'])}" for d in data[:3]
        )
        + "."
    )
    alt = f"Box plots of {what} by {by}, from the 5th to the 95th percentile. {headline}. {finding}"
    return Chart("boxes", headline, finding, alt, vega.boxes(_unique(data), title=what))


def _histogram(
    table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo
) -> Chart | None:
    measure = f"cast({table.sql_name(_measure(shape))} as double)"
    low, high, mid, p95, count = table.aggregate(
        f"select min({measure}), max({measure}), quantile_cont({measure}, 0.5), quantile_cont({measure}, 0.95), "
        f"count(*) from source where isfinite({measure})"
    )[0]
    if not count or not high > low or abs(high) > 1e290 or abs(low) > 1e290:
        return None
    width = (high - low) / _BINS
    rows = table.aggregate(
        f"select least(cast(floor(({measure} - ?) / ?) as integer), ?) as bin, count(*) from source "
        f"where isfinite({measure}) group by bin order by bin",
        [low, width, _BINS - 1],
    )
    counts = dict(rows)
    bins = [
        {"low": low + width * n, "high": low + width * (n + 1), "v": counts.get(n, 0)}
        for n in range(_BINS)
    ]
    what = title(table.columns[_measure(shape)].name)
    headline = f"{what}: half are below {number(mid)}, 95 % below {number(p95)}"
    finding = f"{plural(count, 'value')} from {number(low)} to {number(high)}."
    spec = vega.histogram(
        bins,
        title=what,
        median=mid,
        median_text=f"median {number(mid)}",
        count_title="values",
    )
    return Chart(
        "histogram", headline, finding, f"Histogram of {what}. {headline}. {finding}", spec
    )


# -- what an analysis is known for


def _funnel(table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo) -> Chart | None:
    rows = table.page(View(), 0, 20).rows
    steps = [(label(str(row[shape.by[0]])), row[_measure(shape)]) for row in rows]
    counts = [float(v) for _, v in steps if isinstance(v, int | float)]
    if len(counts) != len(steps) or not counts or counts[0] <= 0:
        return None
    data: list[Json] = []
    drops: list[tuple[float, str]] = []
    for place, ((name, _), value) in enumerate(zip(steps, counts, strict=True)):
        share = value / counts[0]
        text = number(value) if place == 0 else f"{number(value)} ({percent(share)})"
        data.append(
            {
                "x": f"{place + 1}. {name}",
                "low": -share / 2,
                "high": share / 2,
                "text": text,
                "inside": share > 0.16,
            }
        )
        if place and counts[place - 1] > 0:
            drops.append((1 - value / counts[place - 1], name))
    headline = (
        f"{percent(counts[-1] / counts[0])} of {number(counts[0])} came as far as {steps[-1][0]}"
    )
    finding = "No step loses anybody."
    if drops and max(drops)[0] > 0:
        finding = f"Most are lost before {max(drops)[1]}: {percent(max(drops)[0])} of those one step earlier."
    alt = f"Funnel of {plural(len(steps), 'step')}: {'; '.join(d['x'] + ' ' + d['text'] for d in data)}. {headline}. {finding}"
    return Chart("funnel", headline, finding, alt, vega.funnel(data, title="reached"))


def _retention(
    table: Table, shape: Shape, _params: Mapping[str, Any], zone: tzinfo
) -> Chart | None:
    start, period = shape.by
    rows = table.page(View(), 0, RAW_ROWS).rows
    place = {column.name: column.place for column in table.columns}
    cells: list[tuple[str, str, float]] = []
    by_period: dict[int, list[tuple[float, float]]] = defaultdict(list)
    now = datetime.now(UTC)
    for row in rows:
        share, at = row[_measure(shape)], row[period]
        if not isinstance(share, int | float) or not isinstance(at, int | float):
            continue
        size = row[place["customers"]] if "customers" in place else 1
        cohort = _cohort(row[start], zone)
        if not _has_begun(row[start], int(at), rows, start, now):
            continue
        cells.append((cohort, str(int(at)), float(share)))
        by_period[int(at)].append((float(share), float(size or 0)))
    if not cells:
        return None
    ys = list(dict.fromkeys(y for y, _, _ in cells))[-20:]
    xs = [str(n) for n in sorted(by_period)]

    def mean(n: int) -> float:
        weight = sum(size for _, size in by_period[n])
        return sum(share * size for share, size in by_period[n]) / weight if weight else 0.0

    known = [n for n in sorted(by_period) if n > 0] or sorted(by_period)
    first, last = known[0], known[-1]
    headline = f"{percent(mean(first))} came back in period {first}"
    if last != first:
        headline += f", {percent(mean(last))} in period {last}"
    finding = f"{plural(len(ys), 'cohort')} over {plural(len(xs), 'period')}, weighted by size."
    spec = vega.heatmap(
        _cells([one for one in cells if one[0] in ys], ys, xs),
        x_title="periods after the first",
        y_title=None,
        title="came back",
        rows=len(ys),
        text_format=".0%",
        with_text=len(xs) <= 13,
    )
    alt = f"Retention heatmap by cohort and period. {headline}. {finding}"
    return Chart("retention", headline, finding, alt, spec)


def _cohort(value: Any, zone: tzinfo) -> str:
    text = str(value)
    try:
        return in_zone(parse_ts(text), zone).strftime("%Y-%m-%d")
    except ValueError:
        return text[:10]


def _has_begun(
    start: Any, period: int, rows: Sequence[Sequence[Any]], place: int, now: datetime
) -> bool:
    """Whether a cohort's period can hold anything yet: what lies ahead is no retention of zero."""
    starts = sorted({str(row[place]) for row in rows})
    try:
        moments = [parse_ts(text if "T" in text else f"{text}T00:00:00Z") for text in starts]
        mine = parse_ts(str(start) if "T" in str(start) else f"{start}T00:00:00Z")
    except ValueError:
        return True
    gaps = [(b - a) for a, b in pairwise(moments)]
    length = min(gaps, default=timedelta(days=1))
    try:
        return mine + length * period <= now
    except OverflowError:
        return True


def _paths(table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo) -> Chart | None:
    rows = table.page(View(), 0, 200).rows
    flows: Counter[tuple[int, str, str]] = Counter()
    total = 0.0
    depth = 0
    for row in rows:
        weight = row[_measure(shape)]
        if not isinstance(weight, int | float) or weight <= 0:
            continue
        names = []
        for place in shape.steps:
            if row[place] is None:
                break
            names.append(label(str(row[place])))
        total += weight
        for at, (a, b) in enumerate(pairwise(names)):
            flows[at, a, b] += int(weight)
            depth = max(depth, at + 1)
    if not flows or depth == 0:
        return None
    links, nodes = _layout(flows, depth)
    first = max(((v, b) for (at, _, b), v in flows.items() if at == 0), default=(0, ""))
    start = label(str(rows[0][shape.steps[0]]))
    headline = f"After {start}, {percent(first[0] / total)} go on to {first[1]}"
    nexts = sorted(((v, b) for (at, _, b), v in flows.items() if at == 0), reverse=True)[:4]
    finding = "Next: " + "; ".join(f"{name} {number(v)}" for v, name in nexts) + "."
    height = min(90 + 44 * max(Counter(n["x"] for n in nodes).values()), 520)
    spec = vega.sankey(links, nodes, depth=depth, height=height)
    alt = f"Sankey diagram of what follows {start}, {plural(depth, 'step')} deep. {headline}. {finding}"
    return Chart("paths", headline, finding, alt, spec)


def _layout(flows: Counter[tuple[int, str, str]], depth: int) -> tuple[list[Json], list[Json]]:
    """Bands and nodes of a sankey: each column's nodes from large to small, gaps between them."""
    into: dict[tuple[int, str], float] = defaultdict(float)
    out: dict[tuple[int, str], float] = defaultdict(float)
    for (at, a, b), value in flows.items():
        out[at, a] += value
        into[at + 1, b] += value
    sizes = {key: max(into.get(key, 0.0), out.get(key, 0.0)) for key in {*into, *out}}
    columns = [
        sorted((k for k in sizes if k[0] == at), key=lambda k: (-sizes[k], k[1]))
        for at in range(depth + 1)
    ]
    tallest = max(sum(sizes[k] for k in column) for column in columns)
    most = max(map(len, columns))
    gap = 0.3 / max(most, 4)
    scale = (1 - gap * (most - 1)) / tallest
    top: dict[tuple[int, str], float] = {}
    nodes: list[Json] = []
    for at, column in enumerate(columns):
        y = 0.0
        for key in column:
            tall = sizes[key] * scale
            top[key] = y
            nodes.append(
                {
                    "x": at,
                    "x2": at + 0.028,
                    "y": y,
                    "y2": y + tall,
                    "s": key[1],
                    "ty": y + tall / 2,
                    "text": f"{key[1]}  {number(sizes[key])}",
                }
            )
            y += tall + gap
    used_out: dict[tuple[int, str], float] = defaultdict(float)
    used_in: dict[tuple[int, str], float] = defaultdict(float)
    links: list[Json] = []
    order = sorted(
        flows.items(),
        key=lambda item: (item[0][0], top[item[0][0], item[0][1]], top[item[0][0] + 1, item[0][2]]),
    )
    for number_of, ((at, a, b), value) in enumerate(order):
        start, end = (at, a), (at + 1, b)
        y0, y1 = top[start] + used_out[start], top[end] + used_in[end]
        tall = value * scale
        used_out[start] += tall
        used_in[end] += tall
        for n in range(17):
            share = n / 16
            bend = share * share * (3 - 2 * share)
            x = at + 0.028 + (1 - 0.028) * share
            y = y0 + (y1 - y0) * bend
            links.append({"id": number_of, "x": x, "y": y, "y2": y + tall, "s": a})
    return links, nodes


# -- single figures, and tables


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


def _what(measure: str | None, params: Mapping[str, Any]) -> str:
    activity = params.get("activity")
    if isinstance(activity, str) and (measure is None or "activity" in measure):
        return noun(activity)
    if measure is None or measure == "activity_count":
        return "activities"
    one = measure.removesuffix("_count")
    return title(f"{one}s") if one != measure and not one.endswith("s") else title(measure)


def _measure(shape: Shape) -> int:
    assert shape.measure is not None
    return shape.measure


def _sum(table: Table, shape: Shape) -> str:
    measure = f"cast({table.sql_name(_measure(shape))} as double)"
    return f"{'sum' if shape.additive else 'avg'}({measure}) filter (isfinite({measure}))"


_DRAWERS: Final = {
    "series": _series,
    "events": _series,
    "bars": _bars,
    "heatmap": _heatmap,
    "boxes": _boxes,
    "histogram": _histogram,
    "funnel": _funnel,
    "retention": _retention,
    "paths": _paths,
    "figures": _figures,
}
