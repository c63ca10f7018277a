"""What the gauges say of a state directory in which everything is the matter, and of one in which
nothing is.
"""

from __future__ import annotations

from contextlib import closing

import pytest
from landing_table import event

from cdesk import __version__
from cdesk.core import metrics as m
from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.queue.scrape import scrape
from cdesk.state.access import AccessStore
from cdesk.state.database import open_state
from cdesk.state.facts import Fact, write_status
from cdesk.state.kill_switch import turn_on
from cdesk.state.snapshot import ContextRow, SnapshotWriter
from cdesk.state.status import (
    BreakerState,
    Insights,
    LastBuild,
    LastLanding,
    LastRefresh,
    LastTest,
    Pressure,
    Quarantined,
    Spent,
    WorkerState,
)

SECOND = 10**9
NOW_NS = 1_800_000_000 * SECOND
DAY = 86_400


def at(seconds: float) -> str:
    return format_ts(NOW_NS + int(seconds * SECOND))


@pytest.fixture
def settings(state_home: StateDirectory) -> Settings:
    return Settings(home=state_home.root, customer="ada@example.com", worker="off")


def told(settings: Settings, home: StateDirectory) -> dict[str, dict[tuple[str, ...], float]]:
    table = scrape(settings, home, now_ns=lambda: NOW_NS)
    return {
        metric.name.removeprefix("cdesk_"): {labels: one.value for labels, one in found.items()}
        for metric, found in table.items()
    }


def keep(home: StateDirectory, *facts: Fact) -> None:
    with closing(open_state(home.state_db)) as state:
        for fact in facts:
            write_status(state, fact, now=at(0))


def test_of_an_empty_state_directory_every_gauge_says_that_nothing_is_the_matter(
    settings: Settings, state_home: StateDirectory
) -> None:
    found = told(settings, state_home)
    assert found.pop(m.DISK_FREE_BYTES.name.removeprefix("cdesk_"))[()] > 0
    nothing = {
        m.BUILD_INFO: {(__version__, "duckdb"): 1},
        m.SCRAPE_PROBLEMS: {
            (part,): 0
            for part in ("status", "state", "snapshot", "tokens", "keys", "files", "counts")
        },
        **{
            metric: {(): 0}
            for metric in (
                *(m.QUEUE_RECORDS, m.QUEUE_BYTES, m.QUEUE_HELD, m.QUEUE_LAG_SECONDS),
                *(m.BUILD_FAILED, m.TESTS_FAILED, m.KILL_SWITCH, m.WORKER_UP, m.WORKER_PROBLEM),
                *(m.SNAPSHOT_LAG_SECONDS, m.DEGRADATION, m.COST_PER_HOUR),
                m.COST_GUARD_BLIND_SECONDS,
            )
        },
        m.BREAKER: {("closed",): 1, ("half_open",): 0, ("open",): 0},
        m.QUARANTINE_RECORDS: {("none",): 0},
        m.TICKETS: {
            (status,): 0
            for status in ("queued", "running", "succeeded", "failed", "cancelled", "expired")
        },
        m.STATE_REPAIRS: {
            (file,): 0 for file in ("state.db", "context.db", "catalog.json", "warehouse.duckdb")
        },
    }
    assert found == {metric.name.removeprefix("cdesk_"): value for metric, value in nothing.items()}


def test_every_gauge_says_what_stands_in_the_state_directory(
    settings: Settings, state_home: StateDirectory
) -> None:
    line = event(ts_ns=NOW_NS - 120 * SECOND)[1]
    (state_home.queue / f"{'a' * 32}-000001.open.ndjson").write_bytes(line * 2)
    (state_home.queue / f"{'b' * 32}-000001.ndjson").mkdir()
    with closing(open_state(state_home.state_db)) as state:
        turn_on(state, state_home, reason=None, now=at(0))
    keep(
        state_home,
        BreakerState("half_open"),
        Quarantined(at=at(0), lines=3, reasons={"no_json": 2, "too_long": 1}),
        LastBuild(at=at(0), status="warehouse_unavailable"),
        LastTest(at=at(0), tests=9, failed=("one", "other")),
        WorkerState(problem="somebody has to look"),
        LastRefresh(at=at(-60)),
        LastLanding(at=at(-10)),
        Insights(at=at(0), verified=3, unverified=2),
        Pressure(step=2),
        Spent(
            read_at=at(-90),
            problem="no answer",
            used={"credits": 5.0, "scanned_bytes": 30.0},
            caps={"credits": 8.0, "scanned_bytes": 0.0, "queries": 4.0},
            allowed={"credits": 1.0, "queries": 0.0},
            estimated=2.0,
            usd_per_hour=12.0,
        ),
    )
    SnapshotWriter(state_home.context_db).apply(
        [ContextRow("ada@example.com", b"{}", "v1", at(-400))], refreshed_at=at(-30)
    )
    for name in (
        *("state.db.damaged-1", "state.db.damaged-1-wal", "state.db.damaged-2"),
        *("context.db.damaged", "context.db.damaged-shm", "catalog.json.refused"),
        *("warehouse.duckdb.damaged-1", "warehouse.duckdb.wal.damaged-1", "state.db.backup"),
    ):
        (state_home.root / name).touch()
    found = told(settings, state_home)
    expected = {
        m.QUEUE_RECORDS: {(): 2},
        m.QUEUE_BYTES: {(): 2 * len(line)},
        m.QUEUE_HELD: {(): 1},
        m.QUEUE_LAG_SECONDS: {(): 120},
        m.BREAKER: {("closed",): 0, ("half_open",): 1, ("open",): 0},
        m.QUARANTINE_RECORDS: {("no_json",): 2, ("too_long",): 1},
        m.BUILD_FAILED: {(): 1},
        m.TESTS_FAILED: {(): 2},
        m.KILL_SWITCH: {(): 1},
        m.WORKER_PROBLEM: {(): 1},
        m.SNAPSHOT_LAG_SECONDS: {(): 60},
        m.INSIGHTS: {("verified",): 3, ("unverified",): 2},
        m.DEGRADATION: {(): 2},
        m.COST_PER_HOUR: {(): 12},
        m.CREDITS: {("metered",): 3, ("estimated",): 2},
        m.COST_USED: {("credits",): 0.5, ("scanned_bytes",): 0, ("queries",): 0},
        m.COST_GUARD_BLIND_SECONDS: {(): 90},
        m.SNAPSHOT_AGE_SECONDS: {(): 30},
        m.STATE_REPAIRS: {
            **{("state.db",): 2, ("context.db",): 1},
            **{("catalog.json",): 1, ("warehouse.duckdb",): 2},
        },
    }
    for metric, value in expected.items():
        assert found[metric.name.removeprefix("cdesk_")] == value, metric.name


@pytest.mark.parametrize(
    ("shown", "landed", "lag"), [(-60, -10, 60), (-60, -60, 0), (-10, -60, 0), (None, -10, 0), (-60, None, 0), (10, 20, 0)]
)  # fmt: skip
def test_the_snapshot_lags_from_what_it_shows_once_more_has_landed(
    settings: Settings,
    state_home: StateDirectory,
    shown: float | None,
    landed: float | None,
    lag: float,
) -> None:
    keep(state_home, LastRefresh(at=None if shown is None else at(shown)))
    keep(state_home, LastLanding(at=None if landed is None else at(landed)))
    assert told(settings, state_home)["snapshot_lag_seconds"] == {(): lag}


@pytest.mark.parametrize("status", [None, "succeeded", "tests_failed"])
def test_a_build_whose_tests_failed_is_no_failed_build(
    settings: Settings, state_home: StateDirectory, status: str | None
) -> None:
    keep(state_home, LastBuild(at=at(0), status=status), Spent(read_at=at(-90)))
    found = told(settings, state_home)
    assert found["build_failed"] == {(): 0}
    assert found["cost_guard_blind_seconds"] == {(): 0}, "no problem, however long ago"


@pytest.mark.parametrize(
    ("ends", "first"),
    [
        ([500, 100, None], 100),
        ([-DAY + 1, 100], -DAY + 1),
        ([-DAY, -2 * DAY, 100], 100),
        ([-DAY, None], None),
    ],
)
def test_the_token_that_expires_next_is_told_and_none_that_was_let_expire(
    settings: Settings, state_home: StateDirectory, ends: list[float | None], first: float | None
) -> None:
    with closing(AccessStore(state_home.access_db)) as store:
        for end in ends:
            expires_at = None if end is None else at(end)
            store.add_tokens(["ada"], expires_at=expires_at, now=at(-3 * DAY))
        for end in (-5, 5):
            (revoked,) = store.add_tokens(["bob"], expires_at=at(end), now=at(-3 * DAY))
            store.revoke([revoked.id], now=at(-1))
    expected = None if first is None else {("token",): NOW_NS / 1e9 + first}
    assert told(settings, state_home).get("credential_expiry_timestamp_seconds") == expected


def test_reasons_beyond_what_a_process_keeps_are_counted_together(
    settings: Settings, state_home: StateDirectory
) -> None:
    reasons = {f"reason {number}": 1 for number in range(m.MOST_SERIES + 3)}
    keep(state_home, Quarantined(at=at(0), lines=len(reasons), reasons=reasons))
    found = told(settings, state_home)["quarantine_records"]
    assert len(found) == m.MOST_SERIES + 1
    assert found[(m.OTHER,)] == 3


def test_counts_that_nobody_can_read_are_a_problem_of_that_part_alone(
    settings: Settings, state_home: StateDirectory
) -> None:
    state_home.metrics.touch()
    problems = told(settings, state_home)["scrape_problems"]
    assert [part for (part,), value in problems.items() if value] == ["counts"]
