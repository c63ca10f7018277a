"""Files of the queue that nobody holds any more, and those that have been put away."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from landing_table import event, make_landing, query

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.queue.files import finish_leftovers
from cdesk.queue.overview import gather
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.duckdb import DuckDBWarehouse
from uploader.archive import Archive
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


def test_what_an_earlier_version_archived_elsewhere_lands_again_too(
    state_home: StateDirectory,
) -> None:
    """Its folder had another name; a warehouse that was put back gets those files as well."""
    make_landing(state_home.warehouse)
    backup = state_home.warehouse.read_bytes()
    with closing(QueueWriter(state_home.queue)) as writer:
        writer.append(event()[1])
    with closing(Uploader(state_home, DuckDBWarehouse(state_home.warehouse))) as uploader:
        assert uploader.drain().landed == 1
    former = state_home.queue / "shipped"
    (state_home.queue / "archive").rename(former)
    (former / "a note of mine.txt").touch()
    state_home.warehouse.write_bytes(backup)
    with closing(Uploader(state_home, DuckDBWarehouse(state_home.warehouse))) as uploader:
        assert uploader.drain().landed == 1
    assert [path.name for path in former.iterdir()] == ["a note of mine.txt"]
    assert len(list((state_home.queue / "archive").iterdir())) == 1


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _looping(path: Path) -> None:
    path.symlink_to(path)


def _unreadable(path: Path) -> None:
    path.write_bytes(event()[1])
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")


ODD = {
    "a link that leads nowhere": _dangling,
    "symbolic links": _looping,  # as the platform says it
    "a folder": Path.mkdir,
    "no regular file": getattr(os, "mkfifo", None),
    "no permission to read it": _unreadable,
}


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are others there")
@pytest.mark.parametrize("why", ODD)
def test_an_entry_that_cannot_be_read_is_held_and_all_others_land(
    state_home: StateDirectory, why: str
) -> None:
    writer = QueueWriter(state_home.queue)
    first, second = event(), event()
    writer.append(first[1])
    # Among the living writer's own, and before and behind all others.
    odd = [
        state_home.queue / f"{stem}-00000{number}{state}.ndjson"
        for stem in (writer.writer, "0" * 32, "f" * 32)
        for number, state in ((2, ""), (3, ".open"))
    ]
    for path in odd:
        ODD[why](path)
    settings = Settings(home=state_home.root, customer="ada")
    overview = gather(settings, state_home)
    assert overview.queue.held.keys() == {path.name for path in odd}
    assert all(why in said for said in overview.queue.held.values())
    assert not any("errno" in said for said in overview.queue.held.values())
    assert overview.queue.records == 1
    make_landing(state_home.warehouse)
    uploader = Uploader(state_home, DuckDBWarehouse(state_home.warehouse))
    report = uploader.drain()
    assert (report.landed, report.waiting, report.blocked) == (1, 0, None)
    assert report.unreadable.keys() == {path.name for path in odd}
    writer.append(second[1])
    writer.close()
    assert uploader.drain().landed == 1
    uploader.close()
    landed = query(state_home.warehouse, "select id from activities.landing")
    assert sorted(row[0] for row in landed) == sorted((first[0], second[0]))
    assert {path.name for path in odd} <= {one.name for one in state_home.queue.iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are others there")
@pytest.mark.parametrize("why", ODD)
def test_what_is_no_file_in_the_archive_is_left_alone(state_home: StateDirectory, why: str) -> None:
    archive = Archive(state_home.queue, compress_after_seconds=-1)
    folder = state_home.queue / "archive"
    folder.mkdir()
    ODD[why](folder / f"{'0' * 32}-000001.0.ndjson")
    assert archive.files() == []
    assert archive.put_back({}) == []
    assert archive.clean_up() == 0


def test_what_retention_may_have_deleted_does_not_land_again(state_home: StateDirectory) -> None:
    """A computer that was off for half a year, of a warehouse that deletes after half a year."""
    archive = Archive(state_home.queue)
    folder = state_home.queue / "archive"
    folder.mkdir()
    for number, days in ((1, 181), (2, 179)):
        path = folder / f"{'0' * 32}-{number:06d}.0.ndjson"
        path.write_bytes(b"{}\n")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    assert archive.put_back({}) == [f"{'0' * 32}-000002.ndjson"]
