"""What `cdesk status` gathers: of the worker, the queue and the snapshot."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing

import pytest
from landing_table import event

from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import StateDirectoryError
from cdesk.core.features import FEATURES
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.runtime import Runtime, SetUp
from cdesk.queue import overview
from cdesk.queue.overview import Overview, Queue, Worker, gather
from cdesk.state.database import open_state
from cdesk.state.facts import write_status
from cdesk.state.snapshot import ContextRow, SnapshotWriter
from cdesk.state.status import WorkerState

NOW = format_ts(1_800_000_000 * 10**9)


def look(home: StateDirectory) -> Overview:
    return gather(Settings(home=home.root, customer="ada@example.com"), home)


def keep(home: StateDirectory, fact: WorkerState) -> None:
    with closing(open_state(home.state_db)) as state:
        write_status(state, fact, now=NOW)


def test_of_a_worker_that_does_not_run_is_told_why_and_how_far_its_setting_up_is(
    state_home: StateDirectory,
) -> None:
    keep(state_home, WorkerState(pid=5, version="1.2", problem="the disk is full"))
    assert look(state_home).worker == Worker(False, version="1.2", problem="the disk is full")
    now = format_ts(time.time_ns())
    Runtime(state_home.runtime, "").keep_progress(SetUp(since=now, at=now))
    assert str(look(state_home).worker.setting_up).startswith("setting up, ")


def test_of_a_worker_that_runs_its_own_word_counts(state_home: StateDirectory) -> None:
    with FileLock(state_home.worker_lock) as alone:
        assert alone
        assert look(state_home).worker == Worker(running=True), "it has just begun"
        said = {"pid": os.getpid(), "port": 1, "token": "x", "started_at": NOW}
        state_home.worker_json.write_text(json.dumps(said), encoding="utf-8")
        keep(state_home, WorkerState(pid=os.getpid() + 1, version="0.9", problem="an old one's"))
        assert look(state_home).worker == Worker(True, os.getpid(), NOW)
        keep(state_home, WorkerState(pid=os.getpid(), version="1.2"))
        assert look(state_home).worker == Worker(True, os.getpid(), NOW, "1.2")


def test_the_queue_is_as_old_as_its_first_record_that_has_not_landed(
    state_home: StateDirectory,
) -> None:
    lines = [event(ts_ns=(1_800_000_000 + second) * 10**9)[1] for second in range(4)]
    landed_in_part = state_home.queue / f"{'a' * 32}-000001.ndjson"
    landed_in_part.write_bytes(lines[0] + lines[2])
    (state_home.queue / f"{'b' * 32}-000001.open.ndjson").write_bytes(lines[3])
    no_records = (b"no json\n", b"[]\n", b'{"ts": 7}\n', b"")
    for number, content in enumerate(no_records):
        (state_home.queue / f"{'c' * 32}-{number:06d}.ndjson").write_bytes(content)
    (state_home.queue / "my notes.ndjson").touch()
    assert look(state_home).queue.oldest == format_ts(1_800_000_000 * 10**9)
    with closing(open_state(state_home.state_db)) as state:
        state.execute(
            "insert into checkpoints values (?, ?, 0, 1, 0, '')",
            (landed_in_part.name, len(lines[0])),
        )
    assert look(state_home).queue == Queue(
        records=5,
        bytes=len(lines[2]) + len(lines[3]) + sum(map(len, no_records)),
        files=5,
        oldest=format_ts(1_800_000_002 * 10**9),
        foreign=["my notes.ndjson"],
        held={},
    )


def test_the_snapshots_time_and_every_feature_are_told(state_home: StateDirectory) -> None:
    assert look(state_home).snapshot_at is None
    SnapshotWriter(state_home.context_db).apply(
        [ContextRow("ada@example.com", b"{}", "v1", NOW)], refreshed_at=NOW
    )
    found = look(state_home)
    assert found.snapshot_at == NOW
    settings = Settings(home=state_home.root, customer="ada@example.com")
    assert [(one.name, one.on, one.default) for one in found.features] == [
        (one.name, settings.features.has(one), one.default) for one in FEATURES
    ]
    assert (found.tickets.queued, found.tickets.running) == (0, 0)


def test_a_state_db_that_cannot_be_read_is_an_error_with_what_to_do(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(overview, "read_delivered", refuse)
    with pytest.raises(StateDirectoryError, match=r"disk I/O error.*cdesk doctor"):
        look(state_home)
