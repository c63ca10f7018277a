"""What the worker leaves for others, and the records of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from cdesk.core.clock import IdSource
from cdesk.core.errors import QueueWriteError
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.status import Backlog, LastLanding
from cdesk_app.worker.bookkeeping import Bookkeeping
from cdesk_app.worker.status_board import StatusBoard

NOON = 1_769_860_800_000_000_000
NOW = "2026-01-31T12:00:00.000000Z"


@pytest.fixture
def state(state_home: StateDirectory) -> Iterator[sqlite3.Connection]:
    with closing(open_state(state_home.state_db)) as state:
        yield state


def test_what_is_kept_is_read_and_what_is_shown_is_written_once(state: sqlite3.Connection) -> None:
    now = [NOON]
    board = StatusBoard(state, lambda: now[0])
    assert board.now() == NOW
    assert board.read(Backlog) == Backlog()
    board.keep(Backlog(waiting=1))
    assert board.read(Backlog) == Backlog(waiting=1)

    def written() -> list[tuple[str, str]]:
        return state.execute("select key, updated_at from worker_status order by key").fetchall()

    now[0] += 10**9
    board.show(Backlog(waiting=1))
    assert written() == [("queue", NOW)], "it says nothing new"
    board.show(Backlog(waiting=2))
    board.show(LastLanding(rows=1))
    later = "2026-01-31T12:00:01.000000Z"
    assert written() == [("last_landing", later), ("queue", later)]
    now[0] += 10**9
    board.show(Backlog(waiting=2))
    assert written() == [("last_landing", later), ("queue", later)]
    board.keep(Backlog(waiting=2))
    assert written()[1] == ("queue", "2026-01-31T12:00:02.000000Z")


def test_a_state_that_is_busy_costs_the_fact_alone(state: sqlite3.Connection) -> None:
    board = StatusBoard(state, lambda: NOON)
    state.execute("drop table worker_status")
    board.keep(Backlog(waiting=1))
    board.show(Backlog(waiting=2))


def test_the_workers_own_records_are_counted_until_they_land(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines: list[bytes] = []
    full: list[Exception] = []

    def append(line: bytes) -> None:
        if full:
            raise full[0]
        lines.append(line)

    queue: Any = SimpleNamespace(append=append)
    books = Bookkeeping(queue, lambda: NOON, IdSource(lambda: NOON))
    for _ in range(3):
        books.note("ada", "cdesk.context_refreshed", {"version": "v1"})
    assert books.waiting == 3
    record = orjson.loads(lines[0])
    assert (record["customer"], record["activity"], record["ts"]) == (
        *("ada", "cdesk.context_refreshed", NOW),
    )
    assert record["feature_json"] == {"version": "v1"}
    assert record["session_id"] is None
    assert len({orjson.loads(line)["id"] for line in lines}) == 3
    assert [books.take_landed(landed) for landed in (0, 1, 5)] == [0, 1, 2]
    assert books.waiting == 0
    full.append(QueueWriteError("full"))
    books.note("ada", "cdesk.context_refreshed", {})
    assert books.waiting == 0
    (told,) = caplog.records
    assert told.message == "event lost"
    assert told.facts == {  # type: ignore[attr-defined]
        "activity": "cdesk.context_refreshed",
        "code": QueueWriteError.code,
    }
