"""Charts by category: bars, heatmaps, box plots, histograms."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

from cdesk_app.render import vega
from cdesk_app.render.chart import MAX_CELLS, Chart, Json, counted_as, measure_of, measured
from cdesk_app.render.few import by_category
from cdesk_app.render.shape import HOUR, WEEKDAY, Shape, fits
from cdesk_app.render.table import Table
from cdesk_app.render.words import (
    label,
    number,
    percent,
    plural,
    title,
)

MAX_BARS: Final = 15
_BINS: Final = 24


def draw_bars(table: Table, shape: Shape, params: Mapping[str, Any], _zone: tzinfo) -> Chart | None:
    few = by_category(table, shape)
    rows = _by_category(table, shape) if few is None else few[0][:MAX_BARS]
    shown: list[Json] = [{"x": label(x), "v": float(v)} for x, v in rows if fits(v)]
    if not shown:
        return None
    measure = table.columns[measure_of(shape)].name
    what, by = counted_as(measure, {}), title(table.columns[shape.by[0]].name)
    total, least, kinds = _whole(table, shape) if few is None else few[1]
    top = shown[0]
    days = (
        f" in {plural(params['days_back'], 'day')}"
        if isinstance(params.get("days_back"), int)
        else ""
    )
    if shape.additive and total > 0 and least >= 0:  # parts of a whole
        headline = (
            f"{top['x']} leads with {number(top['v'])}{days}: {percent(top['v'] / total)} of "
            f"{number(total)} in {what}"
        )
    else:
        headline = f"{top['x']} leads with {number(top['v'])} in {what}{days}"
    finding = "; ".join(f"{p['x']} {number(p['v'])}" for p in shown[:4])
    finding += f"; {kinds - 4:,} more." if kinds > 4 else "."
    data = [{"x": p["x"], "v": p["v"], "text": number(p["v"])} for p in _unique(shown)]
    alt = f"Bar chart of {what} by {by}, highest first. {headline}. {finding}"
    totals = (("total", number(total)),) if shape.additive else ()
    return Chart("bars", headline, finding, alt, vega.bars(data, title=what), totals)


def _whole(table: Table, shape: Shape) -> tuple[Any, ...]:
    """Of all rows: their value, the least one, how many categories."""
    value = f"cast({table.sql_name(measure_of(shape))} as double)"
    (found,) = table.aggregate(
        f"select {measured(table, shape)}, min({value}) filter (isfinite({value})), "
        f"count(distinct coalesce(cast({table.sql_name(shape.by[0])} as varchar), 'none')) "
        f"filter (isfinite({value})) from source"
    )
    return found


def _by_category(table: Table, shape: Shape) -> list[tuple[Any, ...]]:
    """(category, value), the largest first."""
    name = table.sql_name(shape.by[0])
    return table.aggregate(
        f"select coalesce(cast({name} as varchar), 'none') as x, {measured(table, shape)} as v "
        f"from source "
        f"group by x having v is not null order by v desc, x limit ?",
        [MAX_BARS],
    )


def _unique(points: Sequence[Json]) -> list[Json]:
    """Labels that are equal after cutting stay bars of their own."""
    seen: Counter[str] = Counter()
    result = []
    for point in points:
        seen[point["x"]] += 1
        mark = "" if seen[point["x"]] == 1 else f" ({seen[point['x']]})"
        result.append({**point, "x": point["x"] + mark})
    return result


def draw_heatmap(
    table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo
) -> Chart | None:
    a, b = (table.sql_name(place) for place in shape.by)
    rows = table.aggregate(
        f"select coalesce(cast({a} as varchar), 'none') as y, coalesce(cast({b} as varchar), "
        f"'none') as x, "
        f"{measured(table, shape)} as v from source group by y, x having v is not null order by v "
        f"desc, y, x limit ?",
        [MAX_CELLS],
    )
    of_y, of_x = (table.columns[place].name for place in shape.by)
    cells = [(_named(of_y, y), _named(of_x, x), float(v)) for y, x, v in rows if fits(v)]
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
        for which, most in ((0, 20), (1, 24))
    )
    ys, xs = _in_order(ys), _in_order(xs)
    what = counted_as(table.columns[measure_of(shape)].name, {})
    names = [title(table.columns[place].name) for place in shape.by]
    best = max(cells, key=lambda one: one[2])
    points = cells_of([one for one in cells if one[0] in ys and one[1] in xs], ys, xs)
    headline = f"{best[0]} and {best[1]} stand out with {number(best[2])} in {what}"
    finding = (
        f"{plural(len(ys), 'row')} by {plural(len(xs), 'column')}; the lowest is "
        f"{number(min(one[2] for one in cells))}."
    )
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


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEKDAYS: Final = {name.lower(): n for n, name in enumerate(_DAYS)}
_CLOCK: Final = re.compile(r"[0-2][0-9]:00\Z")


def _named(column: str, value: str) -> str:
    """A category as an axis names it: days of the week and hours are numbers in a result."""
    if column == WEEKDAY and value in "1234567" and len(value) == 1:
        return _DAYS[int(value) - 1]
    if column == HOUR and value.isdecimal() and int(value) < 24:
        return f"{int(value):02}:00"
    return label(value)


def _in_order(names: list[str]) -> list[str]:
    """Days of the week and numbers in their own order; anything else as it is."""
    if all(name[:3].lower() in _WEEKDAYS for name in names):
        return sorted(names, key=lambda name: _WEEKDAYS[name[:3].lower()])
    if all(_CLOCK.match(name) for name in names):
        return sorted(names)
    if all(name.isdecimal() for name in names):
        return sorted(names, key=int)
    return names


def cells_of(
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
        {
            "x": x,
            "y": y,
            "across": across[x],
            "down": order[y],
            "v": known[y, x],
            "strong": known[y, x] > middle,
        }
        for y in order
        for x in across
        if (y, x) in known
    ]


def draw_boxes(
    table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo
) -> Chart | None:
    name = table.sql_name(shape.by[0])
    measure = f"cast({table.sql_name(measure_of(shape))} as double)"
    rows = table.aggregate(
        f"select coalesce(cast({name} as varchar), 'none') as x, "
        f"quantile_cont({measure}, [0.05, 0.25, 0.5, 0.75, 0.95]) as q, count(*) as n from source "
        f"where isfinite({measure}) group by x order by q[3] desc, x limit ?",
        [MAX_BARS],
    )
    data = [
        {"x": label(x), "low": q[0], "q1": q[1], "mid": q[2], "q3": q[3], "high": q[4]}
        for x, q, _ in rows
        if all(map(fits, q))
    ]
    if not data:
        return None
    what, by = title(table.columns[measure_of(shape)].name), title(table.columns[shape.by[0]].name)
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


def draw_histogram(
    table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo
) -> Chart | None:
    measure = f"cast({table.sql_name(measure_of(shape))} as double)"
    low, high, mid, p95, count = table.aggregate(
        f"select min({measure}), max({measure}), quantile_cont({measure}, 0.5), "
        f"quantile_cont({measure}, 0.95), "
        f"count(*) from source where isfinite({measure})"
    )[0]
    if high == low or not fits(high) or not fits(low):  # none, or all of one value
        return None
    width = (high - low) / _BINS
    rows = table.aggregate(
        f"select least(cast(floor(({measure} - ?) / ?) as integer), ?) as bin, count(*) from "
        f"source "
        f"where isfinite({measure}) group by bin order by bin",
        [low, width, _BINS - 1],
    )
    counts = dict(rows)
    bins = [
        {"low": low + width * n, "high": low + width * (n + 1), "v": counts.get(n, 0)}
        for n in range(_BINS)
    ]
    what = title(table.columns[measure_of(shape)].name)
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
