"""Everything that `cdesk status` shows, gathered without a worker and without a warehouse."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson

from cdesk.contract.records import MAX_LINE_BYTES
from cdesk.core.config import Settings
from cdesk.core.errors import SnapshotError, StateDirectoryError
from cdesk.core.features import FEATURES
from cdesk.core.home import StateDirectory
from cdesk.core.locks import is_held
from cdesk.core.runtime import Runtime
from cdesk.core.wake import read_worker
from cdesk.queue.depth import Delivered, DepthCounter, read_delivered
from cdesk.queue.files import QueueFile, list_queue
from cdesk.state.database import open_state
from cdesk.state.facts import KillSwitch, read_status
from cdesk.state.http_service import HttpService, look_at_service
from cdesk.state.kill_switch import read_switch
from cdesk.state.snapshot import SnapshotReader
from cdesk.state.status import (
    BreakerState,
    LastBackup,
    LastBuild,
    LastCleanUp,
    LastLanding,
    LastRefresh,
    LastTest,
    Pressure,
    Quarantined,
    Spent,
    WorkerState,
)
from cdesk.state.tickets import count_open


@dataclass(frozen=True, slots=True)
class Worker:
    """Whether a worker runs, and what it said of itself. `problem` is why the last one had to end,
    where somebody has to do something about it.
    """

    running: bool
    pid: int | None = None
    started_at: str | None = None
    version: str | None = None
    problem: str | None = None
    setting_up: str | None = None
    """How far its own environment is, where Claude Desktop's extension sets one up."""


@dataclass(frozen=True, slots=True)
class Queue:
    """What has not landed. `oldest` is when its first record was born; `foreign` names files that
    are not of the queue, `held` entries that cannot be read, with why; neither is counted.
    """

    records: int
    bytes: int
    files: int
    oldest: str | None
    foreign: list[str]
    held: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tickets:
    queued: int
    running: int


@dataclass(frozen=True, slots=True)
class FeatureState:
    """A feature: whether it is on, whether it is so by default, and which version brought it."""

    name: str
    on: bool
    default: bool
    since: str
    text: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a state directory. Timestamps are RFC 3339 in UTC, None for what has never
    happened.
    """

    home: str
    customer: str
    target: str
    worker: Worker
    queue: Queue
    snapshot_at: str | None
    tickets: Tickets
    kill_switch: KillSwitch
    last_landing: LastLanding
    last_build: LastBuild
    last_test: LastTest
    last_refresh: LastRefresh
    last_clean_up: LastCleanUp
    last_backup: LastBackup
    breaker: BreakerState
    quarantine: Quarantined
    spent: Spent
    pressure: Pressure
    features: list[FeatureState]
    http: HttpService


def gather(settings: Settings, home: StateDirectory) -> Overview:
    """Look at everything once.

    Raises:
        StateDirectoryError: state.db cannot be used. OSError: the queue cannot be read.
    """
    try:
        with closing(open_state(home.state_db)) as state:
            delivered = read_delivered(state)
            counts = count_open(state)
            return Overview(
                home=str(home.root),
                customer=settings.customer,
                target=settings.target,
                worker=_worker(home, read_status(state, WorkerState)),
                queue=_queue(home, delivered),
                snapshot_at=_snapshot_at(home.context_db, settings.customer),
                tickets=Tickets(queued=counts["queued"], running=counts["running"]),
                kill_switch=read_switch(state, home.kill_switch),
                last_landing=read_status(state, LastLanding),
                last_build=read_status(state, LastBuild),
                last_test=read_status(state, LastTest),
                last_refresh=read_status(state, LastRefresh),
                last_clean_up=read_status(state, LastCleanUp),
                last_backup=read_status(state, LastBackup),
                breaker=read_status(state, BreakerState),
                quarantine=read_status(state, Quarantined),
                spent=read_status(state, Spent),
                pressure=read_status(state, Pressure),
                features=[
                    FeatureState(
                        one.name, settings.features.has(one), one.default, one.since, one.text
                    )
                    for one in FEATURES
                ],
                http=look_at_service(home),
            )
    except sqlite3.Error as error:
        raise StateDirectoryError(
            f"{home.state_db} cannot be read ({error}); see 'cdesk doctor'"
        ) from None


def _worker(home: StateDirectory, fact: WorkerState) -> Worker:
    if not is_held(home.worker_lock):
        return Worker(
            running=False,
            version=fact.version,
            problem=fact.problem,
            setting_up=Runtime(home.runtime, "").told_if_begun(time.time_ns()),
        )
    said = read_worker(home)
    if said is None:  # it has just begun
        return Worker(running=True)
    return Worker(
        running=True,
        pid=said.pid,
        started_at=said.started_at,
        version=fact.version if fact.pid == said.pid else None,
    )


def _queue(home: StateDirectory, delivered: Mapping[str, Delivered]) -> Queue:
    depth = DepthCounter(home.queue).measure(delivered)
    listing = list_queue(home.queue)
    return Queue(
        records=depth.lines,
        bytes=depth.bytes,
        files=depth.files,
        oldest=min(_births(listing.files, delivered), default=None),
        foreign=listing.unknown,
        held=listing.held,
    )


def _snapshot_at(path: Path, customer: str) -> str | None:
    with closing(SnapshotReader(path)) as snapshot:
        try:
            return snapshot.read(customer)[1]
        except SnapshotError:
            return None


def _births(files: Sequence[QueueFile], delivered: Mapping[str, Delivered]) -> Iterator[str]:
    """For each queue file, when its first undelivered record was born. A line that is no record has
    no birth.
    """
    for one in files:
        landed = delivered.get(one.name)
        try:
            with one.path.open("rb") as file:
                file.seek(landed.next_offset if landed else 0)
                ts = orjson.loads(file.readline(MAX_LINE_BYTES)).get("ts")
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(ts, str):
            yield ts
