"""state.db from the event loop: locks are waited out without blocking, failures leave nothing,
changes are noticed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from cdesk.core.errors import InvalidField, StateDirectoryError
from cdesk.state.database import open_state
from mcp_shim.state import FEW_WAITERS, FIRST_POLL_SECONDS, POLL_SECONDS, SharedState

NOW = "2026-01-01T00:00:00.000000Z"


def put(connection: sqlite3.Connection, key: str = "a") -> None:
    connection.execute("insert into worker_status values (?, '1', ?)", (key, NOW))


def keys(path: Path) -> list[str]:
    with closing(open_state(path)) as state:
        return [row[0] for row in state.execute("select key from worker_status order by key")]


def test_a_locked_database_is_waited_for_while_the_loop_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_shim.state.BUSY_SECONDS", 120.0)
    path = tmp_path / "state.db"

    async def run() -> int:
        state = SharedState(path)
        state.connection()
        with closing(open_state(path)) as other:
            other.execute("begin immediate")
            put(other, "theirs")
            writing = asyncio.create_task(state.write(put))
            turns = 0
            for _ in range(20):
                await asyncio.sleep(0.005)
                turns += 1
            assert not writing.done()
            other.execute("commit")
            await writing
        assert state.retries > 0
        state.close()
        return turns

    assert asyncio.run(run()) == 20
    assert keys(path) == ["a", "theirs"]


def test_whatever_is_raised_undoes_the_transaction(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    def fail(connection: sqlite3.Connection) -> None:
        put(connection)
        raise InvalidField("x", "y", "z")

    async def run() -> None:
        state = SharedState(path)
        with pytest.raises(InvalidField):
            await state.write(fail)
        with pytest.raises(StateDirectoryError):
            await state.write(lambda connection: connection.execute("no SQL"))
        await state.write(lambda connection: put(connection, "after"))
        state.close()

    asyncio.run(run())
    assert keys(path) == ["after"]


def test_a_database_put_in_its_place_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = SharedState(path)
    state.connection()
    with closing(open_state(tmp_path / "new.db")) as new:
        put(new, "new")
        new.execute("pragma journal_mode = delete")
    path.with_name("state.db-wal").unlink(missing_ok=True)
    (tmp_path / "new.db").replace(path)
    assert state.read(
        lambda connection: connection.execute("select key from worker_status").fetchall()
    ) == [("new",)]
    state.close()


def test_a_damaged_database_is_set_aside_and_one_that_cannot_be_opened_is_an_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database" * 1_000)
    state = SharedState(path)
    assert state.read(
        lambda connection: connection.execute("select count(*) from tickets").fetchone()
    ) == (0,)
    assert list(tmp_path.glob("state.db.damaged-*"))
    state.close()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StateDirectoryError, match="cdesk doctor"):
        SharedState(tmp_path / "folder").connection()


def test_a_change_by_another_process_ends_the_waiting_of_all(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    async def run() -> None:
        state = SharedState(path)
        seen = state.version()
        waiting = asyncio.gather(*(state.changed(seen, 60) for _ in range(3)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        with closing(open_state(path)) as other:
            put(other)
        begun = time.monotonic()
        await waiting
        assert time.monotonic() - begun < 30
        assert state.version() != seen
        await state.changed(seen, 10)  # it has changed already: returns at once
        await state.changed(state.version(), 0.05)  # nothing changes: returns in the end
        state.close()

    asyncio.run(run())


def test_who_has_just_begun_to_wait_looks_more_often_while_few_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    sleep = asyncio.sleep

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await sleep(0)

    async def looks() -> set[float]:
        naps.clear()
        for _ in range(5):
            await sleep(0)
        return set(naps)

    async def run() -> None:
        state = SharedState(tmp_path / "state.db")
        monkeypatch.setattr("mcp_shim.state.FIRST_SECONDS", 3600.0)
        seen = state.version()
        waiting = [asyncio.create_task(state.changed(seen, 60)) for _ in range(FEW_WAITERS)]
        await sleep(0)
        assert await looks() == {FIRST_POLL_SECONDS}
        state._latest_wait -= 3600.0
        assert await looks() == {POLL_SECONDS}
        waiting.append(asyncio.create_task(state.changed(seen, 60)))
        await sleep(0)
        assert await looks() == {POLL_SECONDS}
        waiting.pop().cancel()
        await sleep(0)
        assert await looks() == {FIRST_POLL_SECONDS}
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        state.close()

    monkeypatch.setattr(asyncio, "sleep", nap)
    asyncio.run(run())
