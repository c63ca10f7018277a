"""What is looked up when somebody asks for the metrics: the gauges of a state directory. Needs no
worker and no warehouse; a part that cannot be looked at is named, and the others are told.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Final

from cdesk import __version__
from cdesk.core.clock import NowNs, parse_ts
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, SnapshotError
from cdesk.core.home import StateDirectory
from cdesk.core.metrics import (
    BREAKER,
    BUILD_FAILED,
    BUILD_INFO,
    COST_GUARD_BLIND_SECONDS,
    COST_PER_HOUR,
    COST_USED,
    CREDITS,
    DEGRADATION,
    DISK_FREE_BYTES,
    EXPIRY,
    INSIGHTS,
    KILL_SWITCH,
    MOST_SERIES,
    OTHER,
    QUARANTINE_RECORDS,
    QUEUE_BYTES,
    QUEUE_HELD,
    QUEUE_LAG_SECONDS,
    QUEUE_RECORDS,
    SCRAPE_PROBLEMS,
    SNAPSHOT_AGE_SECONDS,
    SNAPSHOT_LAG_SECONDS,
    STATE_REPAIRS,
    TESTS_FAILED,
    TICKETS,
    WORKER_PROBLEM,
    WORKER_UP,
    Metric,
)
from cdesk.queue.overview import Overview, gather
from cdesk.state.access import AccessStore
from cdesk.state.counts import Labels, Series, Table, read_counts
from cdesk.state.database import open_state
from cdesk.state.facts import read_status
from cdesk.state.snapshot import SnapshotReader
from cdesk.state.status import Insights, Pressure, Spent
from cdesk.state.tickets import STATUSES, count_by_status

BREAKER_STATES: Final = ("closed", "half_open", "open")
GOOD_BUILDS: Final = (None, "succeeded", "tests_failed")
SET_ASIDE: Final = {
    "state.db": "state.db.damaged-*",
    "context.db": "context.db.damaged*",
    "catalog.json": "catalog.json.refused",
    "warehouse.duckdb": "warehouse.duckdb*.damaged*",
}
"""File → what it is called when it was set aside, its companions of SQLite among them."""

Found = Iterator[tuple[Metric, Labels, float]]


def scrape(settings: Settings, home: StateDirectory, *, now_ns: NowNs = time.time_ns) -> Table:
    """All metrics of a state directory: what its processes have counted, and its gauges."""
    table = read_counts(home)
    parts: dict[str, Callable[[], Found]] = {
        "status": lambda: _status(gather(settings, home), now_ns() / 1e9),
        "state": lambda: _state(home, now_ns() / 1e9),
        "snapshot": lambda: _snapshot(settings, home, now_ns() / 1e9),
        "tokens": lambda: _tokens(home, now_ns),
        "keys": lambda: _keys(settings),
        "files": lambda: _files(home),
        "counts": lambda: _counted(home),
    }
    _put(table, BUILD_INFO, (__version__, settings.target), 1)
    for name, look in parts.items():
        problem = 0
        try:
            for metric, labels, value in list(look()):
                _put(table, metric, labels, value)
        except (CdeskError, OSError, sqlite3.Error, ValueError):
            problem = 1
        _put(table, SCRAPE_PROBLEMS, (name,), problem)
    return table


def _put(table: Table, metric: Metric, labels: Labels, value: float) -> None:
    series = table.setdefault(metric, {})
    if labels not in series and len(series) >= MOST_SERIES:
        labels = (OTHER,) * len(labels)
    series.setdefault(labels, Series()).value += value


def _status(found: Overview, now: float) -> Found:
    yield QUEUE_RECORDS, (), found.queue.records
    yield QUEUE_BYTES, (), found.queue.bytes
    yield QUEUE_HELD, (), len(found.queue.held)
    yield QUEUE_LAG_SECONDS, (), _since(found.queue.oldest, now)
    for state in BREAKER_STATES:
        yield BREAKER, (state,), float(found.breaker.state == state)
    for reason, lines in found.quarantine.reasons.items():
        yield QUARANTINE_RECORDS, (reason,), lines
    if not found.quarantine.reasons:
        yield QUARANTINE_RECORDS, ("none",), 0
    yield BUILD_FAILED, (), float(found.last_build.status not in GOOD_BUILDS)
    yield TESTS_FAILED, (), len(found.last_test.failed)
    yield KILL_SWITCH, (), float(found.kill_switch.on)
    yield WORKER_UP, (), float(found.worker.running)
    yield WORKER_PROBLEM, (), float(found.worker.problem is not None)
    shown, landed = found.last_refresh.at, found.last_landing.at
    behind = shown is not None and landed is not None and landed > shown
    yield SNAPSHOT_LAG_SECONDS, (), _since(shown, now) if behind else 0.0


def _state(home: StateDirectory, now: float) -> Found:
    with closing(open_state(home.state_db)) as state:
        counts = count_by_status(state)
        insights = read_status(state, Insights)
        spent = read_status(state, Spent)
        pressure = read_status(state, Pressure)
    for status in STATUSES:
        yield TICKETS, (status,), counts.get(status, 0)
    if insights.at is not None:
        yield INSIGHTS, ("verified",), insights.verified
        yield INSIGHTS, ("unverified",), insights.unverified
    yield DEGRADATION, (), pressure.step
    yield COST_PER_HOUR, (), spent.usd_per_hour
    if "credits" in spent.used:
        yield CREDITS, ("metered",), spent.used["credits"] - spent.estimated
        yield CREDITS, ("estimated",), spent.estimated
    for measure, cap in spent.caps.items():
        used = spent.used.get(measure, 0.0) - spent.allowed.get(measure, 0.0)
        yield COST_USED, (measure,), used / cap if cap else 0.0
    yield COST_GUARD_BLIND_SECONDS, (), _since(spent.read_at, now) if spent.problem else 0.0


def _snapshot(settings: Settings, home: StateDirectory, now: float) -> Found:
    with closing(SnapshotReader(home.context_db)) as snapshot:
        try:
            _, refreshed_at = snapshot.read(settings.customer)
        except SnapshotError:
            if home.context_db.exists():
                raise
            return  # never built
    if refreshed_at is not None:
        yield SNAPSHOT_AGE_SECONDS, (), _since(refreshed_at, now)


def _tokens(home: StateDirectory, now_ns: NowNs) -> Found:
    if not home.access_db.exists():
        return
    with closing(AccessStore(home.access_db)) as store:
        ends = [
            parse_ts(token.expires_at).timestamp()
            for token in store.tokens()
            if token.revoked_at is None and token.expires_at is not None
        ]
    # One that has expired a while ago was let expire.
    due = [end for end in ends if end > now_ns() / 1e9 - 86_400]
    if due:
        yield EXPIRY, ("token",), min(due)


def _keys(settings: Settings) -> Found:
    if settings.target == "snowflake" and settings.snowflake_key_expires:
        day = date.fromisoformat(settings.snowflake_key_expires)
        yield (
            EXPIRY,
            ("snowflake_key",),
            datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp(),
        )


def _files(home: StateDirectory) -> Found:
    with contextlib.suppress(FileNotFoundError):
        yield DISK_FREE_BYTES, (), shutil.disk_usage(home.root).free
    for file, pattern in SET_ASIDE.items():
        found = [
            path for path in home.root.glob(pattern) if not path.name.endswith(("-wal", "-shm"))
        ]
        yield STATE_REPAIRS, (file,), len(found)


def _counted(home: StateDirectory) -> Found:
    """Nothing of its own; raises OSError where nobody can read what the processes counted."""
    with contextlib.suppress(FileNotFoundError):
        next(home.metrics.iterdir(), None)
    yield from ()


def _since(at: str | None, now: float) -> float:
    """Seconds since a timestamp; 0 for none, and for one of the future."""
    return 0.0 if at is None else max(0.0, now - parse_ts(at).timestamp())
