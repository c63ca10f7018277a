"""Following histories: what is new in the files of the sources, as lines of the record contract.

A look reads what was appended since the last one, joins it with what is known (`Fact`), and writes
an event for each activity that is new and a revision for each of which more is known than before.
Reading a line twice changes nothing, so a file that was rewritten, truncated or moved is simply
read again, and a crash between writing and remembering costs repeated lines, never a doubled
activity.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Final

from cdesk.contract.records import Record
from cdesk.core.errors import InvalidField
from uploader.capture_records import Telling
from uploader.capture_store import CaptureStore, Known, LastRead, Place
from uploader.sources.facts import AFTERTHOUGHT, Facts, made_of
from uploader.sources.protocol import Findings, HistoryFile, Source, path_text
from uploader.sources.transcript import TranscriptReader, project_of

MOST_LINE_BYTES: Final = 64 * 1024 * 1024
"""A longer line is passed by and counted; images of 50 MB stand in lines."""
HELD_SECONDS: Final = 60.0
"""How long a tool call waits for its result before it is told without."""
ENDED_SECONDS: Final = 3_600.0
"""A conversation has ended when it has been quiet for so long; it may go on all the same."""
LOOK_RECORDS: Final = 2_000
"""A look stops after about so many records."""
_TAIL_BYTES: Final = 256
_CHUNK: Final = 256 * 1024
_MOST_CHUNK: Final = 8 * 1024 * 1024
_MOST_DUE: Final = 2_000


@dataclass(slots=True)
class Look:
    """What one look found. more: it stopped before everything was read. behind_bytes: what of the
    files was not read yet. hot: paths that changed.
    """

    lines: list[bytes] = field(default_factory=list)
    records: Counter[str] = field(default_factory=Counter)
    files: int = 0
    read_bytes: int = 0
    behind_bytes: int = 0
    more: bool = False
    left_out: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    bad_lines: Counter[str] = field(default_factory=Counter)
    first_ts: str | None = None
    last_ts: str | None = None
    failed: list[Path] = field(default_factory=list)
    """Files that could not be read this time."""


class Capture:
    """Looks through `sources` for `customer`. `exclude`: projects by name, or folders by path or
    pattern, of which nothing is taken in. `earlier`: what was told before, for a store that knows
    nothing. Two looks never run at once.
    """

    def __init__(
        self,
        store: CaptureStore,
        sources: Sequence[Source],
        *,
        customer: str,
        include_text: bool = False,
        exclude: Sequence[str] = (),
        earlier: Callable[[], Iterable[Record]] = tuple,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        store.restore(earlier)
        self._store = store
        self._sources = sources
        self._telling = Telling(customer, store)
        self._include_text = include_text
        self._excluded = excluder(exclude)
        self._excluded_sessions: set[str] = set()
        self._now = now
        self._monotonic = monotonic
        self._places = store.places()
        for place in self._places.values():
            if place.context.get("excluded"):
                self._excluded_sessions.add(str(place.context.get("session")))
        self._moved = {
            (place.device, place.inode): path for path, place in self._places.items() if place.inode
        }
        self._facts = Facts()
        self.findings = Findings()

    def discover(self) -> list[HistoryFile]:
        """All files that are there now."""
        self.findings.unreadable.clear()
        return [file for source in self._sources for file in source.discover(self.findings)]

    def look(
        self,
        files: Iterable[HistoryFile],
        *,
        write: Callable[[Sequence[bytes]], None],
        most_records: int = LOOK_RECORDS,
        seconds: float = float("inf"),
        told: Callable[[int], None] = lambda _bytes: None,
        patient: bool = True,
    ) -> Look:
        """Read what is new in `files`, `write` the lines of the queue, then remember.

        Not `patient`, a call without a result is told at once: nothing more will come.

        Raises:
            StateDirectoryError: what is known cannot be kept. What `write` raises; nothing is
            remembered then.
        """
        found = Look()
        deadline = self._monotonic() + seconds
        places: dict[str, Place] = {}
        for file in files:
            if found.more:
                found.behind_bytes += self._behind(file)
                continue
            place = self._read(file, found, most_records, deadline, told)
            if place is not None:
                places[path_text(file.path)] = place
        try:
            self._remember(found, places, write, patient=patient)
        finally:  # where it failed, all of it is read and counted again
            self.findings.unknown.clear()
            self.findings.bad_lines.clear()
        return found

    # -- reading

    def _behind(self, file: HistoryFile) -> int:
        place = self._places.get(path_text(file.path))
        try:
            size = file.path.stat().st_size
        except OSError:
            return 0
        return max(size - (place.read_to if place else 0), 0)

    def _read(
        self,
        file: HistoryFile,
        found: Look,
        most_records: int,
        deadline: float,
        told: Callable[[int], None],
    ) -> Place | None:
        """Read on in one file; where it stands then, None where nothing has changed."""
        try:
            status = file.path.stat()
            known = self._known_place(file, status)
            if known and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
                return None
            with file.path.open("rb") as stream:
                start = known.read_to if known and _is_same(stream, known) else 0
                reader = TranscriptReader(
                    file,
                    self._facts,
                    self.findings,
                    include_text=self._include_text,
                    excluded=self._excluded,
                    excluded_sessions=self._excluded_sessions,
                    context=known.context if known and start else None,
                )
                end, is_whole = start, True
                for lines, after, is_ended in _blocks(stream, start, self.findings):
                    for line in lines:
                        reader.read(line, is_ended=is_ended)
                    told(after - end)
                    found.read_bytes += after - end
                    end = after
                    if len(self._facts) >= most_records or self._monotonic() > deadline:
                        is_whole = False
                        break
                if is_whole:  # else the end of what was read is no end of a conversation
                    reader.last()
                tail = _tail(stream, end)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self.findings.unreadable_entry(file.path, error)
                found.failed.append(file.path)
            return None
        found.files += 1
        if not is_whole:  # the next look finds a file that has changed
            found.more = True
            found.behind_bytes += max(status.st_size - end, 0)
            return Place(status.st_dev, status.st_ino, -1, 0, end, tail, reader.context)
        return Place(
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            end,
            tail,
            reader.context,
        )

    def _known_place(self, file: HistoryFile, status: os.stat_result) -> Place | None:
        """How far a file was read, under this name or, where it was moved, under another."""
        place = self._places.get(path_text(file.path))
        if place is None and status.st_ino:
            moved = self._moved.get((status.st_dev, status.st_ino))
            return self._places.get(moved) if moved else None
        return place

    # -- remembering

    def _remember(
        self,
        found: Look,
        places: dict[str, Place],
        write: Callable[[Sequence[bytes]], None],
        *,
        patient: bool,
    ) -> None:
        now = self._now()
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        pending = self._facts.take()
        keys = set(pending) | set(self._store.due(stamp, _MOST_DUE))
        stored = self._store.load(sorted(keys))
        changed: list[Known] = []
        requests: list[tuple[str, str]] = []
        for key in sorted(keys):
            known, fact = stored.get(key), pending.get(key)
            if known is None:
                if fact is None:
                    continue
                known = Known(fact)
            elif fact is not None:
                known.fact.join(fact)
            changed.append(known)
            if known.fact.request and known.fact.key.startswith("m:"):
                requests.append((known.fact.request, known.fact.key))
        with self._store.transaction():
            self._store.put_requests(requests)
            changed += self._repeated(changed, requests, keys)
            for known in changed:
                self._tell(known, found, now=now, patient=patient)
            if found.lines:
                write(found.lines)
            self._store.put(changed)
            for path, place in places.items():
                self._store.put_place(path, place)
            self._store.add_counts("unknown", self.findings.unknown)
            self._store.add_counts("bad_lines", self.findings.bad_lines)
            self._store.add_counts("left_out", found.left_out)
            self._store.add_counts("records", found.records)
            self._store.put_seen(
                LastRead(stamp, dict(self.findings.unreadable))
                if places or found.lines or found.failed
                else None
            )
        self._places.update(places)
        self._moved.update(
            {(place.device, place.inode): path for path, place in places.items() if place.inode}
        )
        found.unknown.update(self.findings.unknown)
        found.bad_lines.update(self.findings.bad_lines)

    def _repeated(
        self,
        changed: Sequence[Known],
        requests: Sequence[tuple[str, str]],
        keys: set[tuple[str, str]],
    ) -> list[Known]:
        """Mark answers without an id whose request an answer with one belongs to: they are that
        one, told a second time. Those that are known already come with them.
        """
        nameless = [one for one in changed if one.fact.key.startswith("r:")]
        asked = [one.fact.key[2:] for one in nameless]
        answered = self._store.answered_requests(asked)
        for one in nameless:
            if one.fact.key[2:] in answered:
                one.fact.features["is_repeated"] = True
        wanted = [
            ("claude_responded", f"r:{request}")
            for request, _ in requests
            if ("claude_responded", f"r:{request}") not in keys
        ]
        late = [one for one in self._store.load(wanted).values() if one.made]
        for one in late:
            one.fact.features["is_repeated"] = True
        return late

    def _tell(self, known: Known, found: Look, *, now: datetime, patient: bool) -> None:
        """Put into `found` what is new of a fact, and set when it is looked at again."""
        fact = known.fact
        known.due = None
        if fact.activity == "tool_called" and "answered" not in fact.features and patient:
            until = _later(fact.ts.lstrip(AFTERTHOUGHT), HELD_SECONDS)
            if until is not None and until > now:
                known.due = until.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                return
        for made in made_of(fact):
            if made.activity == "session_ended":
                until = _later(made.ts, ENDED_SECONDS)
                if until is not None and until > now:
                    known.due = until.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                    continue
            try:
                line = self._telling.line(known, made)
            except InvalidField as error:
                found.left_out[f"{made.activity}: {error}"[:200]] += 1
                continue
            if line is not None:
                found.lines.append(line)
                found.records[made.activity] += 1
                ts = made.ts
                found.first_ts = ts if found.first_ts is None else min(ts, found.first_ts)
                found.last_ts = ts if found.last_ts is None else max(ts, found.last_ts)


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


def _later(ts: str, seconds: float) -> datetime | None:
    try:
        return datetime.fromisoformat(ts) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None


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
        data = begun + data if begun else data
        cut = data.rfind(b"\n") + 1
        begun = data[cut:]
        if cut:
            at += cut
            yield _not_too_long(data[: cut - 1].split(b"\n"), findings), at, True
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
