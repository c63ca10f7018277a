"""Which files of the queue are whose, and what becomes of those that nobody holds."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdesk.core.locks import FileLock
from cdesk.queue import depth as depth_module
from cdesk.queue.depth import Delivered, Depth, DepthCounter
from cdesk.queue.files import (
    QueueFile,
    by_writer,
    count_lines,
    finish_leftovers,
    fresh_name,
    list_queue,
)
from cdesk.queue.writer import FILE_NAME

A, B, C = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def living(tmp_path: Path) -> Iterator[str]:
    """A writer that lives, as others see it: its lock is held."""
    lock = FileLock(tmp_path / f"{A}.lock")
    assert lock.acquire()
    yield A
    lock.release()


def put(folder: Path, name: str, content: bytes = b"{}\n") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name.replace("000000", "") for path in folder.iterdir())


def test_every_entry_of_the_queue_is_listed_for_what_it_is(tmp_path: Path) -> None:
    for name in (f"{B}-000002.open.ndjson", f"{B}-000001.ndjson", f"{A}-000010.ndjson"):
        put(tmp_path, name)
    (tmp_path / f"{C}-000001.ndjson").mkdir()
    for name in ("mine.ndjson", "another.ndjson", f"{A}.lock", f"{A}.pending", "notes.txt"):
        put(tmp_path, name)
    listing = list_queue(tmp_path)
    assert [(file.name, file.sealed, file.path.name) for file in listing.files] == [
        (f"{A}-000010.ndjson", True, f"{A}-000010.ndjson"),
        (f"{B}-000001.ndjson", True, f"{B}-000001.ndjson"),
        (f"{B}-000002.ndjson", False, f"{B}-000002.open.ndjson"),
    ]
    assert listing.held == {f"{C}-000001.ndjson": "a folder"}
    assert listing.unknown == ["another.ndjson", "mine.ndjson"]
    assert (listing.locks, listing.pending) == ([f"{A}.lock"], [f"{A}.pending"])
    assert [[file.sequence for file in own] for own in by_writer(listing.files)] == [[10], [1, 2]]
    assert list(by_writer([])) == []
    assert list_queue(tmp_path / "none").files == []
    assert listing.files[0].size() == 3


def test_of_a_living_writer_what_it_has_left_behind_is_sealed_and_what_it_writes_is_not(
    tmp_path: Path, living: str
) -> None:
    for sequence in (1, 2, 3):
        put(tmp_path, f"{living}-{sequence:06d}.open.ndjson")
    put(tmp_path, f"{living}.pending")
    listing = finish_leftovers(tmp_path)
    assert [(file.sequence, file.sealed) for file in listing.files] == [
        (1, True),
        (2, True),
        (3, False),
    ]
    assert listing.pending == [f"{living}.pending"]
    assert listing.locks == [f"{living}.lock"], "another could take it from under the writer"


def test_of_a_dead_writer_all_is_sealed_taken_in_and_its_lock_removed(tmp_path: Path) -> None:
    for name in (f"{B}-000001.open.ndjson", f"{B}-000002.open.ndjson", f"{B}.lock"):
        put(tmp_path, name)
    for name in (f"{C}.pending", "somebody.pending", f"{C}0.pending"):
        put(tmp_path, name)
    listing = finish_leftovers(tmp_path)
    assert [file.path.name for file in listing.files] == [
        f"{B}-000001.ndjson",
        f"{B}-000002.ndjson",
        f"{C}-999999.ndjson",
    ]
    assert sorted(listing.pending) == [f"{C}0.pending", "somebody.pending"]
    assert listing == list_queue(tmp_path), "as it is afterwards"
    assert not (tmp_path / f"{B}.lock").exists()


def test_an_open_file_beside_something_that_holds_its_name_gets_another(tmp_path: Path) -> None:
    (tmp_path / f"{B}-000001.ndjson").mkdir()
    put(tmp_path, f"{B}-000001.open.ndjson", b"kept\n")
    (file,) = finish_leftovers(tmp_path).files
    assert file.path.read_bytes() == b"kept\n"
    assert file.sealed
    assert file.writer != B
    match = FILE_NAME.match(fresh_name(tmp_path).name)
    assert match is not None
    assert (match["sequence"], match["open"]) == ("000001", None)


def test_a_file_that_cannot_be_renamed_stays_and_the_others_are_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for writer in (A, B):
        put(tmp_path, f"{writer}-000001.open.ndjson")
    rename = Path.rename

    def held(path: Path, target: Path) -> Path:
        if path.name.startswith(A):
            raise PermissionError(errno.EACCES, "held by a virus scanner")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", held)
    assert [file.sealed for file in finish_leftovers(tmp_path).files] == [False, True]


def test_who_cannot_be_asked_counts_as_living(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, f"{B}-000001.open.ndjson")
    put(tmp_path, f"{B}.lock")

    def refuse(_: FileLock) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    listing = finish_leftovers(tmp_path)
    assert [file.sealed for file in listing.files] == [False]
    assert listing.locks == [f"{B}.lock"]


def test_on_windows_a_dead_writers_lock_is_removed_once_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There an open file cannot be deleted; and a lock that somebody has taken since stays."""
    put(tmp_path, f"{B}.lock")
    with FileLock(tmp_path / f"{A}.lock"):
        unlink, is_open = Path.unlink, list[bool]()
        release = FileLock.release

        def released(lock: FileLock) -> None:
            is_open.append(lock.held)
            release(lock)

        def refuse_open(path: Path, missing_ok: bool = False) -> None:
            assert is_open, "still open"
            unlink(path, missing_ok)

        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(FileLock, "release", released)
        monkeypatch.setattr(Path, "unlink", refuse_open)
        finish_leftovers(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [f"{A}.lock"]


@pytest.mark.parametrize(
    ("start", "end", "lines"), [(0, 8, 3), (0, 4, 2), (2, 4, 1), (4, 8, 1), (4, 4, 0), (0, 99, 3)]
)
def test_lines_are_counted_between_two_offsets(
    tmp_path: Path, start: int, end: int, lines: int
) -> None:
    assert count_lines(put(tmp_path, "x", b"1\n2\nthr\n"), start, end) == lines


class TestDepth:
    """Of three files, of which each test does something to the middle one."""

    CONTENT = b"1\n22\n333\n"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for writer in (A, B, C):
            put(tmp_path, f"{writer}-000001.open.ndjson", self.CONTENT)
        return tmp_path

    def test_what_has_landed_is_taken_off_each(self, folder: Path) -> None:
        counter = DepthCounter(folder)
        landed = {
            f"{A}-000001.ndjson": Delivered(2, 1),
            f"{B}-000001.ndjson": Delivered(9, 3),
            f"{C}-000001.ndjson": Delivered(5, 2),
        }
        assert counter.measure(landed) == Depth(3, 11, 2)
        assert counter.undelivered_bytes(landed) == 11
        assert counter.measure({}) == Depth(9, 27, 3), "each time by what is said then"

    def test_a_file_that_is_sealed_meanwhile_is_counted_under_its_new_name(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count = depth_module.count_lines

        def sealed_first(path: Path, start: int, end: int) -> int:
            if path.name == f"{B}-000001.open.ndjson":
                path.rename(path.with_name(f"{B}-000001.ndjson"))
            return count(path, start, end)

        monkeypatch.setattr(depth_module, "count_lines", sealed_first)
        assert DepthCounter(folder).measure({}) == Depth(9, 27, 3)

    @pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
    def test_a_file_that_cannot_be_counted_costs_none_of_the_others(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
    ) -> None:
        count = depth_module.count_lines

        def gone(path: Path, start: int, end: int) -> int:
            if path.name.startswith(B):
                raise error(2, "gone")
            return count(path, start, end)

        monkeypatch.setattr(depth_module, "count_lines", gone)
        assert DepthCounter(folder).measure({}) == Depth(6, 18, 2)

    def test_what_is_no_file_costs_none_of_the_others(self, folder: Path) -> None:
        (folder / f"{B}-000002.ndjson").mkdir()
        put(folder, "notes.txt", b"1\n" * 9)
        assert DepthCounter(folder).measure({}) == Depth(9, 27, 3)

    def test_a_file_that_was_put_back_shorter_is_counted_anew(self, folder: Path) -> None:
        counter = DepthCounter(folder)
        assert counter.measure({}).lines == 9
        put(folder, f"{B}-000001.open.ndjson", b"1\n2\n")
        assert counter.measure({}) == Depth(8, 22, 3)
        landed = {f"{B}-000001.ndjson": Delivered(2, 1)}
        assert counter.measure(landed) == Depth(7, 20, 3)
        # What landed reaches further than what has been counted of it.
        put(folder, f"{B}-000001.open.ndjson", b"1\n" * 5)
        landed = {f"{B}-000001.ndjson": Delivered(8, 4)}
        assert counter.measure(landed) == Depth(7, 20, 3)

    def test_each_byte_is_read_once(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        count, read = depth_module.count_lines, list[tuple[int, int]]()

        def counted(path: Path, start: int, end: int) -> int:
            read.append((start, end))
            return count(path, start, end)

        monkeypatch.setattr(depth_module, "count_lines", counted)
        counter = DepthCounter(folder)
        for _ in range(2):
            counter.measure({})
        assert read == [(0, 9)] * 3
        with (folder / f"{B}-000001.open.ndjson").open("ab") as file:
            file.write(b"more\n")
        assert counter.measure({}).lines == 10
        assert read[3:] == [(9, 14)]


def test_files_sort_in_writing_order() -> None:
    files = [QueueFile(writer, n, True, Path("x")) for writer in (B, A) for n in (10, 9)]
    assert [(one.writer, one.sequence) for one in sorted(files)] == [(A, 9), (A, 10), (B, 9), (B, 10)]  # fmt: skip
