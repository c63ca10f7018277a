"""Histories read by several processes, where there is much to read: each takes some files, and
gives back what they say with the lines that tell of it ready to be written. What several of them
say of one activity is joined by who gave the work out, as copies always are.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from uploader.capture_reading import FileRead, HistoryReader, Wanted, noting_unreadable
from uploader.capture_records import Finished, Telling
from uploader.capture_store import Place
from uploader.sources.facts import Facts
from uploader.sources.protocol import Findings, HistoryFile, path_text

logger = logging.getLogger(__name__)

LEAST_BYTES: Final = 64 * 1024 * 1024
"""Less than this is read before other processes have started."""
_MOST_PROCESSES: Final = 8
_BATCH_BYTES: Final = 1024 * 1024
"""What is said by so much stays in a processor's cache until it is told."""
_LARGE_BYTES: Final = 32 * 1024 * 1024
"""A larger file is read in pieces by who gives the work out, within bounded memory."""
_AHEAD: Final = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Files with how far each was read, and all else that their reader needs."""

    files: list[tuple[HistoryFile, Place | None]]
    customer: str
    wanted: Wanted
    now: datetime
    excluded_sessions: set[str]


@dataclass(slots=True)
class BatchRead:
    """What a batch said; `packed` for another process."""

    told: list[Finished] = field(default_factory=list)
    packed: bytes | None = None
    places: dict[str, Place] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    read_bytes: int = 0
    failed: list[Path] = field(default_factory=list)
    excluded_sessions: set[str] = field(default_factory=set)

    def finished(self) -> list[Finished]:
        """All that it said."""
        return self.told if self.packed is None else _unpack(self.packed)

    def pack(self) -> BatchRead:
        """Make one piece of what it said: many objects take long to pass on."""
        self.packed, self.told = _pack(self.told), []
        return self


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(list[Finished]).decode


def read_batch(batch: Batch) -> BatchRead:
    """Read a batch to its end."""
    facts, read = Facts(), BatchRead(excluded_sessions=set(batch.excluded_sessions))
    reader = HistoryReader(batch.wanted, facts, read.findings, read.excluded_sessions)
    for file, known in batch.files:
        done: FileRead | None = None
        with noting_unreadable(file, read.findings, read.failed):
            done = reader.read(file, known)
        if done is not None:
            read.places[path_text(file.path)] = done.place
            read.read_bytes += done.read_bytes
    telling = Telling(batch.customer)
    read.told = [telling.finished(fact, now=batch.now) for fact in facts.take().values()]
    return read


def _read_for_another(batch: Batch) -> BatchRead:
    return read_batch(batch).pack()


def in_parts(files: Iterable[HistoryFile]) -> Iterator[list[HistoryFile]]:
    """Files of about a megabyte together, by the time they were written: a conversation that was
    resumed stands near the one it goes on from, and what both say is joined by who reads them.
    Those of one session's folder are never parted, and those that are too large are left out.
    """
    groups: dict[Path, _Group] = {}
    for file in files:
        try:
            status = file.path.stat()
        except OSError:
            continue
        if status.st_size <= _LARGE_BYTES:
            group = groups.setdefault(_session_folder(file) or file.path, _Group())
            group.files.append(file)
            group.size += status.st_size
            group.written_at = max(group.written_at, status.st_mtime_ns)
    part: list[HistoryFile] = []
    size = 0
    for group in sorted(groups.values(), key=lambda group: group.written_at):
        if part and size >= _BATCH_BYTES:
            yield part
            part, size = [], 0
        part += group.files
        size += group.size
    if part:
        yield part


@dataclass(slots=True)
class _Group:
    """Files that are read together."""

    files: list[HistoryFile] = field(default_factory=list)
    size: int = 0
    written_at: int = 0


def _session_folder(file: HistoryFile) -> Path | None:
    """The folder of a Cowork session, whose second stream does not say where it took place."""
    if file.source_system != "cowork":
        return None
    return next((folder for folder in file.path.parents if folder.name.startswith("local_")), None)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Readers(Protocol):
    """Who reads batches."""

    def read(self, batches: Iterable[Batch]) -> Iterator[BatchRead]:
        """What the batches say, in their order."""
        ...


class OneReader:
    """This process."""

    def read(self, batches: Iterable[Batch]) -> Iterator[BatchRead]:
        """One after the other."""
        return map(read_batch, batches)


class ReadingPool:
    """Processes that read; they are new ones on every system, so that nothing of this process is
    theirs.
    """

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or min(processors(), _MOST_PROCESSES)

    def read(self, batches: Iterable[Batch]) -> Iterator[BatchRead]:
        """What the batches say, in their order. Where processes cannot run or die, it ends early
        and the log says so.
        """
        waiting: deque[Future[BatchRead]] = deque()
        try:
            with ProcessPoolExecutor(
                self._processes, multiprocessing.get_context("spawn"), initializer=_begin
            ) as executor:
                try:
                    for batch in batches:
                        waiting.append(executor.submit(_read_for_another, batch))
                        if len(waiting) > self._processes * _AHEAD:
                            yield waiting.popleft().result()
                    while waiting:
                        yield waiting.popleft().result()
                finally:  # also where nobody asks for more
                    executor.shutdown(wait=True, cancel_futures=True)
        except (BrokenProcessPool, OSError, NotImplementedError, ImportError) as error:
            why = str(error) or type(error).__name__
            logger.warning("histories are read by one process (%s)", why)


def _begin() -> None:
    """A reader makes nothing that refers to itself, and ends when who gave the work out does."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
