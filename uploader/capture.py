"""Following histories: what is new in the files of the sources, as lines of the record contract.

A look reads what was appended since the last one, joins it with what is known (`Fact`), and writes
an event for each activity that is new and a revision for each of which more is known than before.
Reading a line twice changes nothing, so a file that was rewritten, truncated or moved is simply
read again, and a crash between writing and remembering costs repeated lines, never a doubled
activity.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cdesk.contract.records import Record
from cdesk.core.clock import format_ts, to_ns
from uploader.capture_pool import Batch, BatchRead, Readers, in_parts
from uploader.capture_reading import FileRead, HistoryReader, Wanted, noting_unreadable
from uploader.capture_records import Finished, Telling, Told, named_request
from uploader.capture_store import CaptureStore, Known, LastRead, Place
from uploader.sources.facts import Facts
from uploader.sources.protocol import Findings, HistoryFile, Source, path_text

LOOK_RECORDS: Final = 2_000
"""A look stops after about so many records."""
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

    def add(self, told: Iterable[Told]) -> None:
        """Count what is told of activities."""
        lines: list[tuple[str, str, bytes]] = []
        for one in told:
            if one.left_out:
                self.left_out.update(one.left_out)
            lines += one.lines
        if not lines:
            return
        activities, times, written = zip(*lines, strict=True)
        self.lines += written
        self.records.update(activities)
        self.first_ts = min(filter(None, (self.first_ts, min(times))))
        self.last_ts = max(filter(None, (self.last_ts, max(times))))


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
        store.note_owner(customer)
        self._store = store
        self._sources = sources
        self._telling = Telling(customer, store.told)
        self._customer = customer
        self._wanted = Wanted(include_text, tuple(exclude))
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
        self._told: dict[tuple[str, str], Finished] = {}
        self.findings = Findings()
        self._reader = HistoryReader(
            self._wanted, self._facts, self.findings, self._excluded_sessions
        )

    def discover(self) -> list[HistoryFile]:
        """All files that are there now."""
        self.findings.unreadable.clear()
        self.findings.passed_by.clear()
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

        def stop() -> bool:
            return len(self._facts) >= most_records or self._monotonic() > deadline

        for file in files:
            if found.more:
                found.behind_bytes += self._behind(file)
                continue
            place = self._read(file, found, stop, told)
            if place is not None:
                places[path_text(file.path)] = place
        self._keep(found, places, write, patient=patient)
        return found

    def look_with(
        self,
        readers: Readers,
        files: Iterable[HistoryFile],
        *,
        write: Callable[[Sequence[bytes]], None],
        most_records: int = LOOK_RECORDS,
        told: Callable[[int], None] = lambda _bytes: None,
    ) -> Iterator[Look]:
        """Look at all of it, batch by batch; nothing is waited for, as where `look` is not
        `patient`. What is left (large files, and all where readers cannot run) `look` finds.

        Raises: as `look`.
        """
        found, places = Look(), dict[str, Place]()
        for read in readers.read(self._batches(files)):
            self._take(read, found, places)
            told(read.read_bytes)
            if len(self._told) + len(self._facts) >= most_records:
                self._keep(found, places, write, patient=False)
                yield found
                found, places = Look(), {}
        self._keep(found, places, write, patient=False)
        yield found

    def _batches(self, files: Iterable[HistoryFile]) -> Iterator[Batch]:
        """What has changed of the files, as far as it is small enough, in parts. Files of one
        folder stay together: what one says of its conversation another may rest on.
        """
        now = self._now()
        for part in in_parts(files):
            known: list[tuple[HistoryFile, Place | None]] = []
            for file in part:
                with suppress(OSError):  # it is gone, or away for a moment
                    known.append((file, self._known_place(file)))
            yield Batch(
                known,
                self._customer,
                self._wanted,
                now,
                set(self._excluded_sessions),
            )

    def _take(self, read: BatchRead, found: Look, places: dict[str, Place]) -> None:
        """Take in what a batch said."""
        known, told = self._facts.known, self._told
        knows_told = self._store.knows_told
        for one in read.finished():
            key = one.row[:2]
            if key in known:
                known[key].join(one.fact())
            elif (other := told.pop(key, None)) is not None:
                fact = other.fact()
                fact.join(one.fact())
                known[key] = fact
            elif knows_told or one.is_nameless:
                known[key] = one.fact()
            else:
                told[key] = one
        self._excluded_sessions |= read.excluded_sessions
        self.findings.unknown.update(read.findings.unknown)
        self.findings.bad_lines.update(read.findings.bad_lines)
        self.findings.unreadable.update(read.findings.unreadable)
        places.update(read.places)
        found.files += len(read.places)
        found.read_bytes += read.read_bytes
        found.failed += read.failed

    def _keep(
        self,
        found: Look,
        places: dict[str, Place],
        write: Callable[[Sequence[bytes]], None],
        *,
        patient: bool,
    ) -> None:
        try:
            self._remember(found, places, write, patient=patient)
        finally:  # where it failed, all of it is read and counted again
            self.findings.unknown.clear()
            self.findings.bad_lines.clear()

    # -- reading

    def behind(self, files: Iterable[HistoryFile]) -> int:
        """Bytes of the files that were not read yet."""
        return sum(map(self._behind, files))

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
        stop: Callable[[], bool],
        told: Callable[[int], None],
    ) -> Place | None:
        """Read on in one file; where it stands then, None where nothing has changed."""
        read: FileRead | None = None
        with noting_unreadable(file, self.findings, found.failed):
            read = self._reader.read(file, self._known_place(file), stop=stop, told=told)
        if read is None:
            return None
        found.files += 1
        found.read_bytes += read.read_bytes
        if read.behind_bytes is not None:
            found.more = True
            found.behind_bytes += read.behind_bytes
        return read.place

    def _known_place(self, file: HistoryFile) -> Place | None:
        """How far a file was read, under this name or, where it was moved, under another."""
        place = self._places.get(path_text(file.path))
        if place is not None:
            return place
        status = file.path.stat()
        return self._places.get(self._moved.get((status.st_dev, status.st_ino), ""))

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
        stamp = format_ts(to_ns(now))
        pending = self._facts.take()
        told, self._told = self._told, {}
        due = self._store.due(stamp, _MOST_DUE)
        keys = {*pending, *told, *due}
        stored = self._store.load(sorted(keys))
        finished = [told[key] for key in sorted(told) if key not in stored]
        requests = [(one.request, one.row[1]) for one in finished if one.request]
        changed: list[Known] = []
        for key in sorted({*pending, *due, *(told.keys() & stored.keys())}):
            known, one = stored.get(key), told.get(key)
            fact = pending.get(key) if one is None else one.fact()
            if known is None:
                if fact is None:
                    continue
                known = Known(fact)
            elif fact is not None:
                known.fact.join(fact)
            changed.append(known)
            if request := named_request(known.fact):
                requests.append((request, known.fact.key))
        with self._store.transaction():
            self._store.put_requests(sorted(requests))
            changed += self._repeated(changed, requests, keys)
            found.add(self._telling.tell(known, now=now, patient=patient) for known in changed)
            found.add(one.told for one in finished)
            if found.lines:
                write(found.lines)
            self._store.put([*(known.row() for known in changed), *(one.row for one in finished)])
            for path, place in places.items():
                self._store.put_place(path, place)
            for kind, counts in (
                ("unknown", self.findings.unknown),
                ("bad_lines", self.findings.bad_lines),
                ("left_out", found.left_out),
                ("records", found.records),
            ):
                self._store.add_counts(kind, counts)
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
        wanted = {("claude_responded", f"r:{request}") for request, _ in requests} - keys
        late = [one for one in self._store.load(sorted(wanted)).values() if one.made]
        for one in late:
            one.fact.features["is_repeated"] = True
        return late
