"""What the dashboard shows: figures that the worker exported, and the state of this moment."""

from __future__ import annotations

import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

import orjson

from cdesk.core.clock import parse_ts
from cdesk.core.errors import CdeskError
from cdesk.queue.overview import Overview
from cdesk_app.render import vega
from cdesk_app.render.words import cell, label, lately, moment, number, percent, plural, shown_text

Json = dict[str, Any]

DAYS_SHOWN: Final = 90
RECENT_DAYS: Final = 30
PHONE_WEEKS: Final = 24
"""Weeks of activity that a phone has room for."""
OLD_FIGURES_SECONDS: Final = 24 * 3600
OLD_RECORD_SECONDS: Final = 600
DEEP_QUEUE: Final = 10_000

LEVELS: Final = (
    # name, service level without `_p95_<unit>`, percentiles' metric, what it is of, unit
    ("First-token path", "first_token_path", "turn_latency.latency", "", "ms"),
    ("get_context", "get_context", "tool_latency.latency", "get_context", "ms"),
    ("Ingestion lag", "ingestion_lag", "ingestion_lag.lag", "", "s"),
    ("Card ready", "card_ready", "card_ready.ready", "", "s"),
)
_SUFFIX: Final = {"ms": "ms", "s": "seconds"}
_NAMES: Final = {
    "log_p95_ms": "log_* p95",
    "submit_query_p95_ms": "submit_query p95",
    "error_rate": "Error rate",
    "provenance_coverage": "Clickable provenance",
    "quarantine_rate": "Quarantine rate",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is broken: what, since when, what to do."""

    what: str
    since: str
    todo: str


@dataclass(frozen=True, slots=True)
class Level:
    """A service level: what was reached last, its target, and whether that was met."""

    name: str
    reached: str
    target: str
    is_met: bool | None
    chart: str | None = None
    alt: str = ""


@dataclass(slots=True)
class Board:
    """Everything on the page; `charts` by name, without colors."""

    findings: list[Finding]
    levels: list[Level]
    more: list[Level]
    now: list[tuple[str, str]]
    errors: list[tuple[str, str]]
    tops: list[tuple[str, list[tuple[str, str, int]]]]
    insights: list[tuple[str, str, str, str, bool]]
    charts: dict[str, Json] = field(default_factory=dict)
    alts: dict[str, str] = field(default_factory=dict)
    as_of: str | None = None
    has_figures: bool = False

    @property
    def heading(self) -> str:
        if self.findings:
            return f"{plural(len(self.findings), 'thing')} to look at"
        if missed := sum(level.is_met is False for level in (*self.levels, *self.more)):
            return f"{plural(missed, 'target is', 'targets are')} missed"
        return "All is well" if self.has_figures else "Nothing has happened yet"

    def version(self) -> str:
        """Changes whenever the page does."""
        shown = (self.findings, self.levels, self.more, self.now, self.errors, self.tops)
        text = repr((shown, self.insights, self.as_of)).encode()
        return hashlib.sha256(text).hexdigest()[:16]

    def chart_version(self, name: str) -> str:
        return hashlib.sha256(orjson.dumps(self.charts[name])).hexdigest()[:12]


class Figures:
    """The exported figures, read again only when their file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int], Json] | None = None

    def get(self) -> tuple[Json, str | None]:
        """The document, and what is wrong with it; empty where there is none."""
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_ino)
            if self._read is None or self._read[0] != version:
                document = orjson.loads(self._path.read_bytes())
                _require_figures(document)
                self._read = (version, document)
        except FileNotFoundError:
            return {}, None
        except (OSError, ValueError):
            return {}, "the exported figures cannot be read"
        return self._read[1], None


def _require_figures(document: Any) -> None:
    """Raises ValueError unless the document has the form of what the worker exports."""
    if not isinstance(document, dict):
        raise ValueError("no object")
    if (as_of := document.get("as_of")) is not None:
        parse_ts(str(as_of))
    for name in ("metrics", "levels", "insights"):
        section = document.get(name) or {"columns": [], "rows": []}
        if not (
            isinstance(section, dict)
            and all(isinstance(section.get(part), list) for part in ("columns", "rows"))
            and all(isinstance(row, list) for row in section["rows"])
        ):
            raise ValueError(name)


def make_board(
    figures: Figures,
    gather: Callable[[], Overview],
    zone: tzinfo,
    *,
    now: Callable[[], float] = time.time,
) -> Board:
    """The board of this moment. Never fails: what cannot be read is a finding."""
    moment_now = datetime.fromtimestamp(now(), UTC)
    document, problem = figures.get()
    findings = []
    overview = None
    try:
        overview = gather()
    except (CdeskError, OSError) as error:
        text = str(error) if isinstance(error, CdeskError) else "the queue cannot be read"
        findings.append(Finding(text, "now", "cdesk doctor"))
    if problem:
        findings.append(Finding(problem, "now", "cdesk worker --once"))
    if overview is not None:
        findings += _findings(overview, zone, moment_now)
    as_of = document.get("as_of")
    if as_of and (moment_now - parse_ts(as_of)).total_seconds() > OLD_FIGURES_SECONDS:
        findings.append(
            Finding("The figures are old", f"since {moment(as_of, zone)}", "cdesk worker --once")
        )
    metrics = _metrics(document.get("metrics"))
    today = moment_now.astimezone(zone).date()
    board = Board(
        findings=findings,
        levels=[],
        more=[],
        now=[] if overview is None else _now(overview, zone, moment_now),
        errors=_errors(metrics, today),
        tops=_tops(metrics, today),
        insights=_insights(document.get("insights")),
        as_of=moment(as_of, zone) if as_of else None,
        has_figures=bool(metrics),
    )
    _levels(board, metrics, _rows(document.get("levels")), today)
    _activity(board, metrics, today)
    _costs(board, metrics, today)
    return board


# -- what is broken


def _findings(found: Overview, zone: tzinfo, now: datetime) -> list[Finding]:
    def since(text: str | None) -> str:
        return f"since {moment(text, zone)}" if text else "now"

    made = []
    if found.kill_switch.on:
        reason = found.kill_switch.reason
        why = f": {shown_text(reason, limit=200)}" if reason else ""
        made.append(
            Finding(
                f"Queries are switched off{why}",
                since(found.kill_switch.since),
                "cdesk kill-switch off",
            )
        )
    if found.spent.problem is not None:
        what = f"What is spent cannot be read: {shown_text(found.spent.problem, limit=200)}"
        made.append(Finding(what, since(found.spent.read_at), "cdesk doctor"))
    if found.pressure.step:
        what = f"Under pressure, {shown_text(str(found.pressure.reason), limit=200)}"
        made.append(Finding(what, since(found.pressure.at), "cdesk status"))
    if found.breaker.state == "open":
        reason = f": {found.breaker.reason}" if found.breaker.reason else ""
        made.append(
            Finding(
                f"The warehouse does not take records{reason}",
                since(found.last_landing.at),
                "cdesk doctor",
            )
        )
    if found.worker.problem and not found.worker.running:
        made.append(Finding(f"The worker ended: {found.worker.problem}", "now", "cdesk worker"))
    oldest = found.queue.oldest
    if oldest and (now - parse_ts(oldest)).total_seconds() > OLD_RECORD_SECONDS:
        todo = "cdesk doctor" if found.worker.running else "cdesk worker --once"
        made.append(
            Finding(
                f"{plural(found.queue.records, 'record has', 'records have')} not landed",
                since(oldest),
                todo,
            )
        )
    elif found.queue.records > DEEP_QUEUE:
        made.append(
            Finding(
                f"The queue is deep: {plural(found.queue.records, 'record')}",
                since(oldest),
                "cdesk status",
            )
        )
    build = found.last_build
    if build.status not in (None, "succeeded", "tests_failed"):
        made.append(
            Finding(
                f"The last build failed: "
                f"{shown_text(build.message or str(build.status), limit=200)}",
                since(build.at),
                "cdesk worker --once",
            )
        )
    if found.last_test.failed:
        names = ", ".join(found.last_test.failed[:3])
        made.append(
            Finding(
                f"Data tests fail: {shown_text(names, limit=200)}",
                since(found.last_test.at),
                "cdesk worker --once --full",
            )
        )
    if found.quarantine.lines:
        made.append(
            Finding(
                f"{plural(found.quarantine.lines, 'line')} in quarantine",
                since(found.quarantine.at),
                "cdesk quarantine list",
            )
        )
    return made


def _now(found: Overview, zone: tzinfo, now: datetime) -> list[tuple[str, str]]:
    def when(at: str | None) -> str:
        return lately(at, zone, now) if at else "never"

    worker = "running" if found.worker.running else "asleep"
    return [
        ("in the queue", f"{found.queue.records:,}"),
        ("queries waiting", f"{found.tickets.queued:,}"),
        ("queries running", f"{found.tickets.running:,}"),
        ("worker", worker),
        ("last landing", when(found.last_landing.at)),
        ("last build", when(found.last_build.at)),
    ]


# -- figures

Series = dict[tuple[str, str], dict[date, float]]


def _rows(section: Any) -> list[Json]:
    """Of a section of the export (_require_figures); none where it is missing."""
    if not section:
        return []
    return [dict(zip(section["columns"], row, strict=False)) for row in section["rows"]]


def _metrics(section: Any) -> Series:
    found: Series = defaultdict(dict)
    for row in _rows(section):
        try:
            day = date.fromisoformat(str(row["day"])[:10])
            found[str(row["metric"]), str(row["of_what"])][day] = float(row["metric_value"])
        except (KeyError, ValueError, TypeError):
            continue
    return dict(found)


def _levels(board: Board, metrics: Series, levels: list[Json], today: date) -> None:
    """The four levels that matter most with their charts, the others in a line each."""
    levels = sorted(levels, key=lambda level: str(level.get("day")))  # so that the latest stays
    last = {str(level["metric"]): level for level in levels if _whole(level)}
    for name, key, series, part, unit in LEVELS:
        row = last.pop(f"{key}_p95_{unit}", None)
        target = "" if row is None else f"target {number(float(row['target']))} {unit}"
        at = None if row is None else float(row["target"])
        chart = _percentiles(metrics, f"{series}_{{}}_{_SUFFIX[unit]}", part, at, target, today)
        if chart is not None:
            board.charts[key] = chart
        level = Level(name, "–", "not measured yet", None, key if chart is not None else None)
        if row is not None:
            reached = f"{_short(float(row['reached']))} {unit}"
            alt = f"{name} by day: median, 95th and 99th percentile. The 95th is {reached}."
            is_met = bool(row["is_met"])
            level = replace(level, reached=reached, target=target, is_met=is_met, alt=alt)
        board.levels.append(level)
    for metric, row in sorted(last.items()):
        unit = str(row["unit"])
        sign = "≤" if row["comparison"] == "at_most" else "≥"
        board.more.append(
            Level(
                name=_NAMES.get(metric, shown_text(metric, limit=60)),
                reached=_with_unit(float(row["reached"]), unit),
                target=f"{sign} {_with_unit(float(row['target']), unit)}",
                is_met=bool(row["is_met"]),
            )
        )


_OF_A_LEVEL: Final = ("metric", "unit", "comparison", "is_met")


def _whole(level: Json) -> bool:
    """Whether a row of the export has what a level is shown by."""
    try:
        finite = math.isfinite(float(level["reached"])) and math.isfinite(float(level["target"]))
        return finite and all(name in level for name in _OF_A_LEVEL)
    except (KeyError, TypeError, ValueError):
        return False


def _short(value: float) -> str:
    """Three digits: what is read at a glance."""
    return number(float(f"{value:.3g}"))


def _with_unit(value: float, unit: str) -> str:
    return percent(value) if unit == "ratio" else f"{_short(value)} {unit}"


def _percentiles(
    metrics: Series, series: str, part: str, target: float | None, said: str, today: date
) -> Json | None:
    """The plot of `part` of the metrics that `series` names with a percentile in its place."""
    first = today - timedelta(days=DAYS_SHOWN - 1)
    points = [
        {"t": f"{day.isoformat()}T00:00:00", "v": value, "s": name}
        for name in ("p50", "p95", "p99")
        for day, value in sorted(metrics.get((series.format(name), part), {}).items())
        if day >= first
    ]
    if len({point["t"] for point in points}) < 2:
        return None
    return vega.sparkline(points, target=target, target_text=said)


def _activity(board: Board, metrics: Series, today: date) -> None:
    """A year of days, Monday on top."""
    days = metrics.get(("adoption.activity_count", ""), {})
    if not days:
        return
    start = today - timedelta(days=today.weekday() + 52 * 7)
    cells: list[Json] = []
    months: list[Json] = []
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    for n in range((today - start).days + 1):
        day = start + timedelta(days=n)
        cells.append({"week": n // 7, "day": names[day.weekday()], "v": days.get(day, 0.0)})
        if day.day <= 7 and day.weekday() == 0:
            months.append({"week": n // 7, "text": day.strftime("%b")})
    total = sum(value for day, value in days.items() if day >= start)
    board.charts["calendar"] = vega.calendar(cells, title="activities", months=months)
    last = [[one for one in part if one["week"] > 52 - PHONE_WEEKS] for part in (cells, months)]
    board.charts["calendar_narrow"] = vega.calendar(last[0], title="activities", months=last[1])
    active = sum(1 for day in days if day >= start)
    board.alts["calendar"] = (
        f"{number(total)} activities on {plural(active, 'day')} of the last year"
    )


def _costs(board: Board, metrics: Series, today: date) -> None:
    credits = metrics.get(("query_costs.credits", ""), {})
    days = credits or metrics.get(("query_costs.elapsed_seconds", ""), {})
    first = today - timedelta(days=DAYS_SHOWN - 1)
    points: list[Json] = [
        {"t": f"{day.isoformat()}T00:00:00", "v": value, "s": ""}
        for day, value in sorted(days.items())
        if day >= first
    ]
    if len(points) < 2:
        return
    what = "credits" if credits else "seconds of queries"
    plot = vega.series(
        points, title=what, date_format="%-d %b", mean=None, mean_text="", has_series=False
    )
    board.charts["costs"] = {**plot, "width": vega.SMALL, "height": 160}
    total = number(sum(point["v"] for point in points))
    board.alts["costs"] = f"{total} {what} in {DAYS_SHOWN} days"


def _summed(metrics: Series, metric: str, today: date) -> list[tuple[str, float]]:
    first = today - timedelta(days=RECENT_DAYS - 1)
    sums = [
        (part, sum(value for day, value in days.items() if day >= first))
        for (name, part), days in metrics.items()
        if name == metric
    ]
    return sorted(
        ((part, value) for part, value in sums if value > 0), key=lambda one: (-one[1], one[0])
    )


def _errors(metrics: Series, today: date) -> list[tuple[str, str]]:
    return [
        (shown_text(part, limit=60), number(value))
        for part, value in _summed(metrics, "errors.error_count", today)[:8]
    ]


def _tops(metrics: Series, today: date) -> list[tuple[str, list[tuple[str, str, int]]]]:
    """Rankings with the share of the first in percent, for a bar behind each."""
    made = []
    for name, metric in (
        ("Top tools", "tool_latency.call_count"),
        ("Top models", "models.call_count"),
        ("Top projects", "projects.question_count"),
    ):
        found = _summed(metrics, metric, today)[:6]
        if found:
            most = found[0][1]
            made.append(
                (
                    name,
                    [
                        (label(part), number(value), max(2, round(100 * value / most)))
                        for part, value in found
                    ],
                )
            )
    return made


def _insights(section: Any) -> list[tuple[str, str, str, str, bool]]:
    made = []
    for row in _rows(section)[:12]:
        value = row.get("value", row.get("insight_value"))
        made.append(
            (
                shown_text(str(row.get("subject", "")), limit=80),
                shown_text(str(row.get("metric", "")), limit=80),
                cell(value, "string", UTC) or "–",
                shown_text(str(row.get("provenance_query_hash") or ""), limit=16),
                bool(row.get("verified", row.get("is_verified"))),
            )
        )
    return made
