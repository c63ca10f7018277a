"""Reading on in one file: which lines, how far, and whether it is still the file that was read."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from uploader import capture_reading as module
from uploader.capture_reading import (
    FileRead,
    HistoryReader,
    Wanted,
    excluder,
    noting_unreadable,
)
from uploader.capture_store import Place
from uploader.sources.facts import Facts
from uploader.sources.protocol import Findings, HistoryFile


def asked(text: str, second: int = 1, **more: Any) -> bytes:
    line = {
        **{"type": "user", "timestamp": f"2026-03-01T09:00:{second:02d}.000Z", "sessionId": "s1"},
        **{"cwd": "/home/ada/atlas", "message": {"content": text}, **more},
    }
    return orjson.dumps(line) + b"\n"


class Reading:
    """One file, and who reads it."""

    def __init__(self, path: Path, *lines: bytes, **wanted: Any) -> None:
        self.path = path
        path.write_bytes(b"".join(lines))
        self.facts, self.findings = Facts(), Findings()
        self.excluded: set[str] = set()
        self.file = HistoryFile(path, "claude_code", "claude_code")
        self.reader = HistoryReader(Wanted(**wanted), self.facts, self.findings, self.excluded)

    def read(self, known: Place | None = None, **options: Any) -> FileRead | None:
        return self.reader.read(self.file, known, **options)

    def questions(self) -> list[Any]:
        """Lengths of those that were read since the last call."""
        facts = self.facts.take().values()
        return [fact.features["length"] for fact in facts if fact.activity == "user_asked"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.jsonl"


def tail_of(data: bytes) -> bytes:
    return hashlib.sha256(data[-256:]).digest()[:16]


# -- how far


def test_a_file_is_read_to_its_end_and_says_where_it_stands(path: Path) -> None:
    lines = [asked("a" * 300), asked("bb", 2)]
    reading = Reading(path, *lines)
    steps: list[int] = []
    read = reading.read(told=steps.append)
    status = path.stat()
    assert read is not None
    assert (read.read_bytes, read.behind_bytes, sum(steps)) == (
        status.st_size,
        None,
        read.read_bytes,
    )
    place = read.place
    assert (place.device, place.inode) == (status.st_dev, status.st_ino)
    assert (place.size, place.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert (place.read_to, place.tail) == (status.st_size, tail_of(b"".join(lines)))
    assert place.context["session"] == "s1"
    last = reading.facts.known["session_started", "s1"].features["last_at"]
    assert last == "2026-03-01T09:00:02.000000Z"
    assert reading.questions() == [300, 2]
    assert reading.read(place) is None, "nothing has changed"
    assert reading.read(replace(place, size=1)) is not None
    assert reading.read(replace(place, mtime_ns=1)) is not None


def test_a_file_that_grew_is_read_on_with_what_was_remembered(path: Path) -> None:
    reading = Reading(path, asked("a"))
    first = reading.read()
    assert first is not None
    reading.questions()
    more = asked("bbb", 2, cwd=None, sessionId=None)
    with path.open("ab") as file:
        file.write(more)
    second = reading.read(first.place)
    assert second is not None
    assert second.read_bytes == len(more)
    fact = reading.facts.known["session_started", "s1"]
    assert fact.features["project"] == "atlas"
    assert reading.questions() == [3]


@pytest.mark.parametrize("change", ["rewritten", "cut", "cut and grown"])
def test_a_file_that_is_another_by_now_is_read_from_its_start(path: Path, change: str) -> None:
    reading = Reading(path, asked("a"), asked("bb", 2))
    first = reading.read()
    assert first is not None
    reading.questions()
    size = path.stat().st_size
    lines = {
        "rewritten": [asked("c", cwd="/srv/notes"), asked("dd", 2), asked("eee", 3)],
        "cut": [asked("c", cwd="/srv/notes")],
        "cut and grown": [asked("c" * 200, cwd="/srv/notes")],
    }[change]
    path.write_bytes(b"".join(lines))
    os.utime(path, ns=(1, 1))
    again = reading.read(first.place)
    assert again is not None
    assert again.read_bytes == path.stat().st_size
    assert (path.stat().st_size < size) is (change == "cut")
    assert reading.facts.known["session_started", "s1"].features["project"] == "notes"
    assert len(reading.questions()) == len(lines)


def test_a_file_of_which_nothing_was_read_begins_without_what_was_remembered(path: Path) -> None:
    reading = Reading(path, asked("a", cwd=None))
    known = Place(0, 0, -1, 0, 0, tail_of(b""), {"cwd": "/srv/x", "project": "x", "excluded": True})
    assert reading.read(known) is not None
    assert reading.questions() == [1]


def test_what_has_no_end_yet_is_read_and_read_again(path: Path) -> None:
    half = asked("bb", 2)
    reading = Reading(path, asked("a"), half[:-1])
    read = reading.read()
    assert read is not None
    assert read.place.read_to == len(asked("a"))
    assert read.read_bytes == read.place.read_to
    assert reading.questions() == [1, 2]
    torn = Reading(path, asked("a"), half[:30])
    torn.read()
    assert (torn.questions(), torn.findings.bad_lines) == ([1], {})
    ended = Reading(path, half[:30] + b"\n")
    ended.read()
    assert ended.findings.bad_lines == {"a line that is no JSON": 1}


def test_who_stops_after_a_piece_is_told_what_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [asked("a" * 100, number) for number in range(4)]
    size = len(lines[0])
    monkeypatch.setattr(module, "_CHUNK", size + 10)
    reading = Reading(path, *lines)
    steps: list[int] = []
    asked_for = iter([False, True])
    read = reading.read(stop=lambda: next(asked_for), told=steps.append)
    assert read is not None
    assert steps == [size, size]
    assert (read.read_bytes, read.behind_bytes) == (2 * size, 2 * size)
    assert (read.place.size, read.place.mtime_ns) == (-1, 0), "the next look finds it changed"
    assert (read.place.read_to, read.place.tail) == (2 * size, tail_of(b"".join(lines[:2])))
    assert "last_at" not in reading.facts.known["session_started", "s1"].features
    rest = reading.read(read.place)
    assert rest is not None
    assert (rest.read_bytes, rest.behind_bytes) == (2 * size, None)
    assert "last_at" in reading.facts.known["session_started", "s1"].features
    whole = Reading(path, *lines[:1])
    stopped = whole.read(stop=lambda: True)
    assert stopped is not None
    assert stopped.behind_bytes == 0


def test_what_is_wanted_goes_to_who_reads_the_lines(path: Path) -> None:
    with_text = Reading(path, asked("Hi"), include_text=True)
    with_text.read()
    (fact,) = (one for one in with_text.facts.take().values() if one.activity == "user_asked")
    assert fact.features["question"] == "Hi"
    without = Reading(path, asked("Hi"))
    without.read()
    assert "question" not in str(without.facts.known)
    left_out = Reading(path, asked("Hi"), exclude=("atlas",))
    left_out.read()
    assert (len(left_out.facts), left_out.excluded) == (0, {"s1"})
    other = Reading(path, asked("Hi", cwd=None))
    other.excluded.add("s1")
    other.read()
    assert len(other.facts) == 0


# -- lines


def found(data: bytes, start: int = 0) -> tuple[list[tuple[list[bytes], int, bool]], Findings]:
    findings = Findings()
    return list(module._blocks(io.BytesIO(data), start, findings)), findings


def test_lines_come_in_pieces_with_the_place_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 8)
    assert found(b"")[0] == []
    assert found(b"ab\ncd\nefghijklmnopqr\ns\nt")[0] == [
        ([b"ab", b"cd"], 6, True),
        ([b"efghijklmnopqr", b"s"], 23, True),
        ([b"t"], 23, False),
    ]
    assert found(b"ab\ncd\n", 3)[0] == [([b"cd"], 6, True)]
    assert found(b"\n\nab\n")[0] == [([b"", b"", b"ab"], 5, True)]
    assert found(b"ab")[0] == [([b"ab"], 0, False)]


def test_pieces_grow_with_the_line_that_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Sized(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(size or 0)
            return super().read(size)

    monkeypatch.setattr(module, "_CHUNK", 4)
    monkeypatch.setattr(module, "_MOST_CHUNK", 16)
    pieces = list(module._blocks(Sized(b"x" * 50 + b"\n"), 0, Findings()))
    assert pieces == [([b"x" * 50], 51, True)]
    assert sizes[:5] == [4, 4, 8, 16, 16]
    assert (module.MOST_LINE_BYTES, len(sizes)) == (64 * 2**20, 7)


@pytest.mark.parametrize("chunk", [4, 64])
def test_lines_beyond_the_longest_are_passed_by_and_counted(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    monkeypatch.setattr(module, "MOST_LINE_BYTES", 1 << 4)
    longest, longer = b"x" * 16, b"y" * 17
    data = b"a\n" + longest + b"\n" + longer + b"\nb\n" + longer * 2 + b"\n\nc\n"
    pieces, findings = found(data)
    lines = [line for some, _, _ in pieces for line in some]
    assert lines == [b"a", longest, b"b", b"", b"c"]
    assert [at for _, at, _ in pieces][-1] == len(data)
    assert all(is_ended for _, _, is_ended in pieces)
    assert findings.bad_lines == {"a line of more than 0 MiB": 2}
    endless, findings = found(b"a\n" + longer)
    assert [line for some, _, _ in endless for line in some] == [b"a"]
    assert (endless[-1][1:], findings.bad_lines.total()) == ((19, True), 1)
    monkeypatch.setattr(module, "MOST_LINE_BYTES", 3 << 20)
    assert module._too_long() == "a line of more than 3 MiB"


# -- what stands in the way


def test_what_cannot_be_read_is_noted_and_what_is_gone_is_not(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "a.jsonl", "claude_code", "claude_code")
    findings, failed = Findings(), list[Path]()
    with noting_unreadable(file, findings, failed):
        raise FileNotFoundError(2, "No such file or directory")
    assert (findings.unreadable, failed) == ({}, [])
    with noting_unreadable(file, findings, failed):
        raise PermissionError(13, "Permission denied")
    assert findings.unreadable == {str(file.path): "Permission denied"}
    assert failed == [file.path]
    with pytest.raises(ValueError, match="other"), noting_unreadable(file, findings, failed):
        raise ValueError("other")


@pytest.mark.parametrize(
    ("patterns", "cwd", "expected"),
    [
        ([], "/home/ada/x", False),
        ([""], "/home/ada/x", False),
        (["/home/ada/"], "/home/ada/x", True),
        (["/home/ada"], "/home/ada", True),
        (["/home/ada"], "/home/ada2", False),
        (["C:\\work\\"], "C:\\work\\x", True),
        (["~/code"], "{home}/code/x", True),
        (["other", "x"], "/home/ada/x", True),
        (["X"], "/home/ada/x", False),
        (["/home/*"], "/home/ada/x", True),
        (["x?"], "/home/ada/xy", True),
        (["ada"], "/home/ada/x", False),
        (["/"], "/home/ada/x", True),
    ],
)
def test_a_folder_is_excluded_by_its_name_its_parents_or_a_pattern(
    monkeypatch: pytest.MonkeyPatch, patterns: list[str], cwd: str, expected: bool
) -> None:
    monkeypatch.setenv("HOME", "/home/eve")
    monkeypatch.setenv("USERPROFILE", "/home/eve")
    assert excluder(patterns)(cwd.format(home="/home/eve")) is expected
