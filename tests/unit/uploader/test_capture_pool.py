"""How reading is parted among processes, and what each gives back."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from uploader import capture_pool as module
from uploader.capture_pool import Batch, BatchRead, ReadingPool, in_parts, processors, read_batch
from uploader.capture_reading import Wanted
from uploader.sources.protocol import HistoryFile

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def asked(text: str = "Hi", session: str = "s1", cwd: str | None = "/srv/atlas") -> bytes:
    line = {
        **{"type": "user", "timestamp": "2026-03-01T09:00:01.000Z", "sessionId": session},
        **{"message": {"content": text}, **({"cwd": cwd} if cwd else {})},
    }
    return orjson.dumps(line) + b"\n"


def file(path: Path, data: bytes, *, at: int = 1, system: Any = "claude_code") -> HistoryFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(at, at))
    return HistoryFile(path, system, system)


def batch(*files: HistoryFile, excluded: Iterable[str] = (), **wanted: Any) -> Batch:
    return Batch([(one, None) for one in files], "ada", Wanted(**wanted), NOW, set(excluded))


# -- one batch


def test_a_batch_says_all_that_its_files_hold(tmp_path: Path) -> None:
    files = [
        file(tmp_path / "a.jsonl", asked()),
        file(tmp_path / "b.jsonl", asked("Ho", "s2") + b'{torn\n{"type":"novelty"}\n'),
        HistoryFile(tmp_path / "gone.jsonl", "claude_code", "claude_code"),
    ]
    read = read_batch(batch(*files))
    assert read.read_bytes == sum(one.path.stat().st_size for one in files[:2])
    assert read.places.keys() == {str(one.path) for one in files[:2]}
    told = [activity for one in read.told for activity, _, _ in one.told.lines]
    assert sorted(told) == [
        *("session_ended", "session_ended", "session_started", "session_started"),
        *("user_asked", "user_asked"),
    ]
    assert (read.findings.unknown, read.findings.bad_lines) == (
        {"line type novelty": 1},
        {"a line that is no JSON": 1},
    )
    assert (read.failed, read.packed, read.finished()) == ([], None, read.told)
    known = Batch([(files[0], read.places[str(files[0].path)])], "ada", Wanted(), NOW, set())
    again = read_batch(known)
    assert (again.places, again.read_bytes, again.told) == ({}, 0, [])
    packed = read_batch(batch(*files)).pack()
    assert (packed.told, isinstance(packed.packed, bytes)) == ([], True)
    assert packed.finished() == read.told
    assert BatchRead().read_bytes == 0


def test_a_batch_knows_what_is_excluded_and_tells_what_it_found(tmp_path: Path) -> None:
    files = (
        file(tmp_path / "a.jsonl", asked(cwd="/srv/diary")),
        file(tmp_path / "b.jsonl", asked("Ho", "s2", cwd=None)),
    )
    given = batch(*files, excluded=["s2"], exclude=("diary",))
    read = read_batch(given)
    assert (read.told, read.excluded_sessions) == ([], {"s1", "s2"})
    assert given.excluded_sessions == {"s2"}, "what was given stays as it was"
    with_text = read_batch(batch(file(tmp_path / "c.jsonl", asked()), include_text=True))
    assert any(
        b'"question":"Hi"' in line for one in with_text.told for _, _, line in one.told.lines
    )


# -- parts


def parts(*files: HistoryFile) -> list[list[str]]:
    return [[one.path.name for one in part] for part in in_parts(files)]


def test_files_come_in_parts_of_about_so_much_by_when_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH_BYTES", 10)
    files = [
        file(tmp_path / name, b"x" * size, at=at)
        for name, size, at in (("a", 6, 5), ("b", 4, 4), ("c", 9, 3), ("d", 1, 2), ("e", 20, 1))
    ]
    assert parts(*files) == [["e"], ["d", "c"], ["b", "a"]]
    assert parts() == []
    gone = HistoryFile(tmp_path / "gone", "claude_code", "claude_code")
    assert parts(gone, files[0]) == [["a"]]
    assert (module._LARGE_BYTES, module.LEAST_BYTES) == (32 * 2**20, 64 * 2**20)


def test_a_file_that_is_too_large_is_in_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGE_BYTES", 10)
    files = [file(tmp_path / name, b"x" * size) for name, size in (("a", 10), ("b", 11))]
    assert parts(*files) == [["a"]]
    assert module._BATCH_BYTES == 2**20


def test_a_sessions_folder_stays_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As old as its latest file, and as large as all of them."""
    monkeypatch.setattr(module, "_BATCH_BYTES", 10)
    local = tmp_path / "local_1" / "deep"
    files = [
        file(local / "a", b"x" * 6, at=1, system="cowork"),
        file(tmp_path / "other", b"x" * 3, at=3, system="cowork"),
        file(tmp_path / "local_1" / "b", b"x" * 6, at=5, system="cowork"),
        file(tmp_path / "last", b"x", at=9, system="cowork"),
    ]
    assert parts(*files) == [["other", "a", "b"], ["last"]]
    code = [
        file(tmp_path / "local_2" / name, b"x" * 10, at=at) for name, at in (("x", 2), ("y", 1))
    ]
    assert parts(*code) == [["y"], ["x"]], "of Cowork alone"


# -- processes


@pytest.mark.parametrize(
    ("affinity", "count", "expected"), [({0, 3, 5}, 8, 3), (None, 8, 8), (None, None, 1)]
)
def test_as_many_processors_as_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, affinity: set[int] | None, count: int | None, expected: int
) -> None:
    if affinity is None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    else:

        def own(process: int) -> set[int]:
            assert process == 0, "this one"
            return affinity

        monkeypatch.setattr(os, "sched_getaffinity", own, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert processors() == expected


class Executor:
    """Does its work at once, and tells how far ahead it was asked."""

    def __init__(self, processes: int, context: Any, *, initializer: Any) -> None:
        self.said = made
        self.said += [processes, context.get_start_method(), initializer]
        self.fails_at: int | None = fails_at[0]
        self.submitted = 0

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.said.append("left")

    def submit(self, work: Any, given: Any) -> Future[Any]:
        assert work is module._read_for_another
        self.submitted += 1
        self.said.append(f"asked {given}")
        future: Future[Any] = Future()
        if self.submitted == self.fails_at:
            future.set_exception(BrokenProcessPool())
        else:
            future.set_result(f"read {given}")
        return future

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        self.said.append(("shutdown", wait, cancel_futures))


made: list[Any] = []
fails_at: list[int | None] = [None]


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made.clear()
    fails_at[0] = None
    monkeypatch.setattr(module, "ProcessPoolExecutor", Executor)
    return made


def test_batches_are_given_out_a_few_ahead_and_come_back_in_their_order(
    executor: list[Any],
) -> None:
    batches: Any = range(7)
    found = []
    for read in ReadingPool(2).read(batches):
        executor.append("taken")
        found.append(read)
    assert found == [f"read {number}" for number in range(7)]
    assert executor[:3] == [2, "spawn", module._begin]
    assert executor[3:9] == [*(f"asked {number}" for number in range(5)), "taken"]
    assert executor[-2:] == [("shutdown", True, True), "left"]


def test_who_asks_for_no_more_ends_the_work(executor: list[Any]) -> None:
    batches: Any = range(9)
    reads = ReadingPool(1).read(batches)
    next(iter(reads))
    reads.close()  # type: ignore[attr-defined]
    assert executor[-2:] == [("shutdown", True, True), "left"]


def test_where_a_process_dies_reading_ends_early_and_says_so(
    executor: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    fails_at[0] = 2
    batches: Any = range(5)
    assert list(ReadingPool(1).read(batches)) == ["read 0"]
    assert "histories are read by one process (BrokenProcessPool)" in caplog.text
    assert executor[-1] == "left"


def test_a_pool_has_a_process_for_each_processor_up_to_eight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for count, expected in ((3, 3), (8, 8), (64, 8)):
        monkeypatch.setattr(module, "processors", lambda count=count: count)
        assert ReadingPool()._processes == expected
    assert ReadingPool(5)._processes == 5


def test_a_reader_looks_for_no_cycles_and_leaves_the_keyboard_to_who_began_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(gc, "disable", lambda: said.append("no cycles"))
    monkeypatch.setattr(signal, "signal", lambda *given: said.append(given))
    module._begin()
    assert said == ["no cycles", (signal.SIGINT, signal.SIG_IGN)]
