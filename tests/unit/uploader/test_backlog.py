"""What was brought in waits in files of its own, and is let into a short queue file by file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from uploader import backlog as module
from uploader.backlog import FILE_RECORDS, SHORT_QUEUE, BacklogWriter, HistoryBacklog


@pytest.fixture
def backlog(state_home: StateDirectory) -> HistoryBacklog:
    return HistoryBacklog(state_home)


@pytest.fixture
def writer(state_home: StateDirectory) -> Iterator[BacklogWriter]:
    with closing(BacklogWriter(state_home)) as own:
        yield own


def lines(path: Path) -> list[int]:
    return [int(line) for line in path.read_bytes().splitlines()]


def numbered(start: int, end: int) -> list[bytes]:
    return [b"%d\n" % number for number in range(start, end)]


def test_lines_are_written_in_order_so_many_to_a_file(
    backlog: HistoryBacklog, writer: BacklogWriter
) -> None:
    writer.write(numbered(0, 1_000))
    assert all(path.name.endswith(".open.ndjson") for path in backlog.waiting())
    writer.write(numbered(1_000, 2 * FILE_RECORDS + 1))
    writer.write([])
    writer.close()
    files = [lines(path) for path in backlog.waiting()]
    assert [len(file) for file in files] == [FILE_RECORDS, FILE_RECORDS, 1]
    assert [number for file in files for number in file] == list(range(2 * FILE_RECORDS + 1))
    assert not any(".open." in path.name for path in backlog.waiting())


def test_a_file_is_sealed_with_its_last_record(
    backlog: HistoryBacklog, writer: BacklogWriter
) -> None:
    writer.write(numbered(0, FILE_RECORDS - 1))
    assert len(backlog.waiting()) == 1
    writer.write(numbered(0, 1))
    (sealed,) = backlog.waiting()
    assert ".open." not in sealed.name
    writer.write(numbered(0, 1))
    assert len(backlog.waiting()) == 2


def test_lines_are_written_some_at_once(
    writer: BacklogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    append = writer._writer.append
    monkeypatch.setattr(
        writer._writer, "append", lambda data: (sizes.append(data.count(b"\n")), append(data))
    )
    writer.write(numbered(0, 300))
    writer.write(numbered(0, FILE_RECORDS - 300))
    assert max(sizes) == 256
    assert sum(sizes) == FILE_RECORDS
    assert sizes[:2] == [256, 44]


def test_the_folder_is_made_private_and_may_be_there(state_home: StateDirectory) -> None:
    for _ in range(2):
        BacklogWriter(state_home).close()
    if os.name != "nt":
        assert state_home.backlog.stat().st_mode & 0o777 == 0o700
    state_home.backlog.rmdir()
    state_home.backlog.touch()
    with pytest.raises(StateDirectoryError, match="backlog cannot be made"):
        BacklogWriter(state_home)


def test_files_are_let_in_oldest_first_while_the_queue_is_short(
    backlog: HistoryBacklog, state_home: StateDirectory
) -> None:
    assert backlog.admit(0) == 0
    assert (backlog.waiting(), backlog.waiting_bytes()) == ([], 0)
    backlog.folder.mkdir()
    names = [f"{'a' * 32}-{number:06d}.ndjson" for number in range(1, 7)]
    for name in names:
        (backlog.folder / name).write_bytes(b"{}\n")
    (backlog.folder / "notes.txt").write_bytes(b"not waiting")
    assert backlog.waiting_bytes() == 18
    assert [path.name for path in backlog.waiting()] == names

    def queued() -> list[str]:
        return sorted(path.name for path in state_home.queue.glob("*.ndjson"))

    assert backlog.admit(SHORT_QUEUE) == 0
    assert backlog.admit(SHORT_QUEUE - 1) == 1
    assert queued() == names[:1]
    assert backlog.admit(SHORT_QUEUE - FILE_RECORDS) == 1
    assert backlog.admit(SHORT_QUEUE - FILE_RECORDS - 1) == 2
    assert queued() == names[:4]
    assert backlog.admit(0) == 2
    assert (queued(), backlog.admit(0)) == (names, 0)


def test_an_import_that_is_under_way_keeps_its_file_and_one_that_died_does_not(
    backlog: HistoryBacklog, writer: BacklogWriter, state_home: StateDirectory
) -> None:
    writer.write(numbered(0, 3))
    dead = f"{'0' * 32}-000001"
    (backlog.folder / f"{dead}.open.ndjson").write_bytes(b"{}\n")
    assert backlog.admit(0) == 1
    assert [path.name for path in state_home.queue.glob("*.ndjson")] == [f"{dead}.ndjson"]
    (open_,) = backlog.waiting()
    assert open_.name.endswith(".open.ndjson")
    behind = backlog.folder / f"{'f' * 32}-000001.ndjson"
    behind.write_bytes(b"{}\n")
    assert backlog.admit(0) == 1, "and is in nobody's way"


def test_a_file_that_cannot_be_moved_waits_with_those_behind_it(
    backlog: HistoryBacklog, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog.folder.mkdir()
    for number in (1, 2):
        (backlog.folder / f"{'a' * 32}-{number:06d}.ndjson").write_bytes(b"{}\n")

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", refuse)
        assert backlog.admit(0) == 0
    assert backlog.admit(0) == 2


def test_a_file_that_goes_meanwhile_weighs_nothing(
    backlog: HistoryBacklog, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog.folder.mkdir()
    path = backlog.folder / f"{'b' * 32}-000001.ndjson"
    path.write_bytes(b"{}\n")
    gone = backlog.folder / f"{'a' * 32}-000001.ndjson"
    monkeypatch.setattr(HistoryBacklog, "waiting", lambda _: [gone, path])
    assert backlog.waiting_bytes() == 3
    assert module.FILE_RECORDS == 2_000
