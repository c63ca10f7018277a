"""Charts of what customers do one after the other: funnel, retention, paths."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Final

from cdesk.core.clock import parse_ts
from cdesk_app.render import vega
from cdesk_app.render.categories import cells_of
from cdesk_app.render.chart import Chart, Json, measure_of
from cdesk_app.render.shape import Shape
from cdesk_app.render.table import Table, View
from cdesk_app.render.words import (
    in_zone,
    label,
    number,
    percent,
    plural,
)

RAW_ROWS: Final = 5_000


def draw_funnel(
    table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo
) -> Chart | None:
    rows = table.page(View(), 0, 20).rows
    names = [label(str(row[shape.by[0]])) for row in rows]
    counts = [float(v) for row in rows if isinstance(v := row[measure_of(shape)], int | float)]
    if len(counts) != len(rows) or counts[0] <= 0:
        return None
    data: list[Json] = []
    drops: list[tuple[float, str]] = []
    for place, value in enumerate(counts):
        name = names[place]
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
        f"{percent(counts[-1] / counts[0])} of {number(counts[0])} came as far as {names[-1]}"
    )
    finding = "No step loses anybody."
    if drops and max(drops)[0] > 0:
        finding = (
            f"Most are lost before {max(drops)[1]}: {percent(max(drops)[0])} of those one step "
            f"earlier."
        )
    alt = (
        f"Funnel of {plural(len(names), 'step')}: "
        f"{'; '.join(d['x'] + ' ' + d['text'] for d in data)}. {headline}. {finding}"
    )
    return Chart("funnel", headline, finding, alt, vega.funnel(data, title="reached"))


def draw_retention(
    table: Table, shape: Shape, _params: Mapping[str, Any], zone: tzinfo
) -> Chart | None:
    start, period = shape.by
    rows = table.page(View(), 0, RAW_ROWS).rows
    place = {column.name: column.place for column in table.columns}
    cells: list[tuple[str, int, float, float]] = []
    now = datetime.now(UTC)
    for row in rows:
        share, at = row[measure_of(shape)], row[period]
        if not isinstance(share, int | float) or not isinstance(at, int | float):
            continue
        size = row[place["customers"]] if "customers" in place else 1
        if not _has_begun(row[start], int(at), rows, start, now):
            continue
        cells.append((_cohort(row[start], zone), int(at), float(share), float(size or 0)))
    if not cells:
        return None
    ys = sorted({cohort for cohort, *_ in cells})[-20:]
    periods = sorted({at for _, at, *_ in cells})
    xs = list(map(str, periods))

    def mean(n: int) -> float:
        found = [(share, size) for _, at, share, size in cells if at == n]
        weight = sum(size for _, size in found)
        return sum(share * size for share, size in found) / weight if weight else 0.0

    known = [n for n in periods if n > 0] or periods
    first, last = known[0], known[-1]
    headline = f"{percent(mean(first))} came back in period {first}"
    if last != first:
        headline += f", {percent(mean(last))} in period {last}"
    finding = f"{plural(len(ys), 'cohort')} over {plural(len(xs), 'period')}, weighted by size."
    spec = vega.heatmap(
        cells_of([(y, str(at), share) for y, at, share, _ in cells if y in ys], ys, xs),
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


def draw_paths(
    table: Table, shape: Shape, _params: Mapping[str, Any], _zone: tzinfo
) -> Chart | None:
    rows = table.page(View(), 0, 200).rows
    flows: Counter[tuple[int, str, str]] = Counter()
    total = 0.0
    for row in rows:
        weight = row[measure_of(shape)]
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
    if not flows:
        return None
    depth = 1 + max(at for at, _, _ in flows)
    links, nodes = _layout(flows, depth)
    nexts = sorted(((v, b) for (at, _, b), v in flows.items() if at == 0), reverse=True)[:4]
    most, first = nexts[0]
    start = label(str(rows[0][shape.steps[0]]))
    headline = f"After {start}, {percent(most / total)} go on to {first}"
    finding = "Next: " + "; ".join(f"{name} {number(v)}" for v, name in nexts) + "."
    height = min(90 + 44 * max(Counter(n["x"] for n in nodes).values()), 520)
    spec = vega.sankey(links, nodes, depth=depth, height=height)
    alt = (
        f"Sankey diagram of what follows {start}, {plural(depth, 'step')} deep. {headline}. "
        f"{finding}"
    )
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
