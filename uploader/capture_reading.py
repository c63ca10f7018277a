"""Reading a file of a history on from where it was left."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Final

from uploader.capture_store import Place
from uploader.sources.facts import Facts
from uploader.sources.protocol import Findings, HistoryFile
from uploader.sources.transcript import TranscriptReader, project_of

MOST_LINE_BYTES: Final = 64 * 1024 * 1024
"""A longer line is passed by and counted; images of 50 MB stand in lines."""
_TAIL_BYTES: Final = 256
_CHUNK: Final = 256 * 1024
_MOST_CHUNK: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is taken in: texts too with `include_text`; nothing of what `exclude` names."""

    include_text: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileRead:
    """Where a file stands after it was read. `behind_bytes`: what was left, where it was not read
    to its end.
    """

    place: Place
    read_bytes: int
    behind_bytes: int | None = None


class HistoryReader:
    """Reads files into `facts` and `findings`. `excluded_sessions`: those of which some file said
    that nothing is wanted; added to.
    """

    def __init__(
        self, wanted: Wanted, facts: Facts, findings: Findings, excluded_sessions: set[str]
    ) -> None:
        self._include_text = wanted.include_text
        self._excluded = excluder(wanted.exclude)
        self._facts = facts
        self._findings = findings
        self._excluded_sessions = excluded_sessions

    def read(
        self,
        file: HistoryFile,
        known: Place | None,
        *,
        stop: Callable[[], bool] = lambda: False,
        told: Callable[[int], None] = lambda _bytes: None,
    ) -> FileRead | None:
        """Read on in a file of which `known` was read; None where it has not changed. `stop` is
        asked after each piece.

        Raises:
            OSError: it cannot be read.
        """
        status = file.path.stat()
        if known and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return None
        with file.path.open("rb") as stream:
            start = known.read_to if known and _is_same(stream, known) else 0
            reader = TranscriptReader(
                file,
                self._facts,
                self._findings,
                include_text=self._include_text,
                excluded=self._excluded,
                excluded_sessions=self._excluded_sessions,
                context=known.context if known and start else None,
            )
            end, is_whole = start, True
            for lines, after, is_ended in _blocks(stream, start, self._findings):
                for line in lines:
                    reader.read(line, is_ended=is_ended)
                told(after - end)
                end = after
                if stop():
                    is_whole = False
                    break
            if is_whole:  # else the end of what was read is no end of a conversation
                reader.last()
            tail = _tail(stream, end)
        # The next look finds that a file which was not read to its end has changed.
        size, changed = (status.st_size, status.st_mtime_ns) if is_whole else (-1, 0)
        place = Place(status.st_dev, status.st_ino, size, changed, end, tail, reader.context)
        behind = None if is_whole else max(status.st_size - end, 0)
        return FileRead(place, end - start, behind)


@contextmanager
def noting_unreadable(file: HistoryFile, findings: Findings, failed: list[Path]) -> Iterator[None]:
    """Where the file cannot be read in the block, note that and go on; one that is gone by now is
    nothing to note.
    """
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        findings.unreadable_entry(file.path, error)
        failed.append(file.path)


def excluder(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a working directory is excluded: by its project's name, by a folder that it is or
    lies in, or by a pattern (`*`, `?`) of either.
    """
    wanted = [os.path.expanduser(pattern).rstrip("/\\") for pattern in patterns if pattern]  # noqa: PTH111

    def excluded(cwd: str) -> bool:
        if not wanted:
            return False
        project = project_of(cwd)
        return any(
            fnmatchcase(project, pattern)
            or fnmatchcase(cwd, pattern)
            or cwd.startswith((f"{pattern}/", f"{pattern}\\"))
            for pattern in wanted
        )

    return excluded


def _blocks(
    stream: BinaryIO, start: int, findings: Findings
) -> Iterator[tuple[list[bytes], int, bool]]:
    """Lines from `start` on without their line feeds, some at a time, each with the offset behind
    them and whether they are ended; what is not ended comes last and moves no offset. A line that
    is too long is passed by and counted, as far as it is there: what follows of it later is no
    JSON. Memory holds one line.
    """
    stream.seek(start)
    at = start
    begun = b""
    while data := stream.read(min(max(_CHUNK, len(begun)), _MOST_CHUNK)):
        lines = data.split(b"\n")
        at += len(begun) + len(data)
        if begun:
            lines[0] = begun + lines[0]
        begun = lines.pop()
        at -= len(begun)
        if lines:
            yield _not_too_long(lines, findings), at, True
        if len(begun) > MOST_LINE_BYTES:
            at = _behind_line(stream, at + len(begun))
            begun = b""
            findings.bad_lines[_too_long()] += 1
            yield [], at, True
    if begun:
        yield [begun], at, False


def _too_long() -> str:
    return f"a line of more than {MOST_LINE_BYTES >> 20} MiB"


def _not_too_long(lines: list[bytes], findings: Findings) -> list[bytes]:
    if max(map(len, lines)) <= MOST_LINE_BYTES:
        return lines
    kept = [line for line in lines if len(line) <= MOST_LINE_BYTES]
    findings.bad_lines[_too_long()] += len(lines) - len(kept)
    return kept


def _behind_line(stream: BinaryIO, at: int) -> int:
    """Pass by the rest of a line; the offset behind it."""
    while rest := stream.read(_CHUNK):
        if end := rest.find(b"\n") + 1:
            return stream.seek(at + end)
        at += len(rest)
    return at


def _tail(stream: BinaryIO, end: int) -> bytes:
    """A hash of the bytes before `end`."""
    start = max(end - _TAIL_BYTES, 0)
    stream.seek(start)
    return hashlib.sha256(stream.read(end - start)).digest()[:16]


def _is_same(stream: BinaryIO, known: Place) -> bool:
    """Whether a file still holds what was read of it; one that was rewritten is read anew."""
    stream.seek(0, os.SEEK_END)
    return stream.tell() >= known.read_to and _tail(stream, known.read_to) == known.tail
