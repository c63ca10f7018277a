"""Files of the queue that nobody holds any more, and those that have been put away."""

from __future__ import annotations

import gzip

import pytest
from landing_table import event, make_landing, query

from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.queue.files import finish_leftovers
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.duckdb import DuckDBWarehouse
from uploader.uploader import Uploader


def test_a_writer_that_comes_while_its_read_write_is_removed_holds_one_that_stands(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The uploader finds the lock free and is about to remove its file; the writer locks the very
    same file a moment too early.
    """
    writer = QueueWriter(state_home.queue)
    path = state_home.queue / f"{writer.writer}.lock"
    path.touch()
    uploaders, own = FileLock(path), FileLock.acquire
    assert own(uploaders)

    def acquire(lock: FileLock) -> bool:
        """The writer has opened the file; before it locks it, the uploader removes the file and
        lets go.
        """
        if uploaders.held:
            path.unlink()
            uploaders.release()
            stale = path.with_name("stale")
            lock.path = stale
            taken = own(lock)
            lock.path = path
            stale.unlink()
            return taken
        return own(lock)

    monkeypatch.setattr(FileLock, "acquire", acquire)
    id, line = event()
    writer.append(line)
    monkeypatch.undo()
    assert writer._lock.stands
    assert finish_leftovers(state_home.queue).files[0].sealed is False, (
        "it is not taken for a dead writer's"
    )
    writer.close()
    assert id.encode() in next(state_home.queue.glob("*.ndjson")).read_bytes()


def test_a_dead_writers_lock_goes_and_a_living_ones_stays(state_home: StateDirectory) -> None:
    living = QueueWriter(state_home.queue)
    living.append(event()[1])
    (state_home.queue / f"{'0' * 32}.lock").touch()
    finish_leftovers(state_home.queue)
    assert [path.stem for path in state_home.queue.glob("*.lock")] == [living.writer]
    living.close()


def test_a_damaged_file_is_set_aside_and_the_others_land_again(state_home: StateDirectory) -> None:
    make_landing(state_home.warehouse)
    writers = [QueueWriter(state_home.queue) for _ in range(3)]
    for writer in writers:
        writer.append(event()[1])
        writer.close()
    uploader = Uploader(state_home, DuckDBWarehouse(state_home.warehouse))
    assert uploader.drain().landed == 3
    first, second, third = sorted((state_home.queue / "archive").iterdir())
    for path in (first, second):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    cut = first.with_name(first.name + ".gz")
    cut.write_bytes(cut.read_bytes()[:-9])
    uploader.close()
    state_home.warehouse.unlink()
    make_landing(state_home.warehouse)
    again = Uploader(state_home, DuckDBWarehouse(state_home.warehouse))
    report = again.drain()
    assert (report.landed, report.blocked) == (2, None)
    again.close()
    assert cut.with_name(cut.name + ".damaged").exists()
    assert not list((state_home.queue / "archive").glob(".*.partial"))
    assert len(query(state_home.warehouse, "select id from activities.landing")) == 2
    assert third.name[:32] in {path.name[:32] for path in (state_home.queue / "archive").iterdir()}


def test_a_warehouse_put_back_under_a_living_uploader_is_filled_again(
    state_home: StateDirectory,
) -> None:
    make_landing(state_home.warehouse)
    writer, uploader = (
        QueueWriter(state_home.queue),
        Uploader(state_home, DuckDBWarehouse(state_home.warehouse)),
    )
    acknowledged = []

    def write(count: int) -> None:
        for _ in range(count):
            id, line = event()
            writer.append(line)
            acknowledged.append(id)
        uploader.drain()

    write(50)
    backup = state_home.warehouse.read_bytes()
    write(50)
    state_home.warehouse.write_bytes(backup)
    write(10)  # in the same file: the greatest offset alone would hide the hole
    writer.close()
    uploader.drain()
    uploader.close()
    landed = [row[0] for row in query(state_home.warehouse, "select id from activities.landing")]
    assert sorted(landed) == sorted(acknowledged)
