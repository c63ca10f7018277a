"""The queue's reading end: which files there are, whose, and in which state (docs/contracts.md,
"Queue files").
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cdesk.core.clock import IdSource
from cdesk.core.locks import FileLock
from cdesk.queue.writer import FILE_NAME, LAST_SEQUENCE, PENDING_SUFFIX, SEALED_SUFFIX

LOCK_SUFFIX: Final = ".lock"
_READ_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class QueueFile:
    """One file of the queue. `name` is the logical one, which stays when the file is sealed. Sorts
    in writing order.
    """

    writer: str
    sequence: int
    sealed: bool
    path: Path

    @property
    def name(self) -> str:
        return f"{self.writer}-{self.sequence:06d}{SEALED_SUFFIX}"

    def size(self) -> int:
        """Bytes now. Raises FileNotFoundError when it has gone."""
        return self.path.stat().st_size


@dataclass(frozen=True, slots=True)
class QueueListing:
    """`files` in writing order; `unknown` are names of .ndjson files that no writer of ours made;
    `held` are those that cannot be read, by name, with why; the rest are names as well.
    """

    files: list[QueueFile]
    unknown: list[str]
    locks: list[str]
    pending: list[str]
    held: dict[str, str] = field(default_factory=dict)


def look_at(entry: os.DirEntry[str]) -> int | str | None:
    """The size of an entry that can be read; why it cannot, in words; None where it has gone.

    It is not opened: a pipe would wait for its other end.
    """
    try:
        found = entry.stat()
    except FileNotFoundError:
        return "a link that leads nowhere" if entry.is_symlink() else None
    except OSError as error:  # a link in a circle, a folder that nobody may enter
        return (error.strerror or str(error)).lower()
    if stat.S_ISDIR(found.st_mode):
        return "a folder"
    if not stat.S_ISREG(found.st_mode):
        return "no regular file"
    return found.st_size if os.access(entry.path, os.R_OK) else "no permission to read it"


def list_queue(folder: Path) -> QueueListing:
    """List the queue. A missing folder is an empty queue."""
    files: list[QueueFile] = []
    unknown: list[str] = []
    locks: list[str] = []
    pending: list[str] = []
    held: dict[str, str] = {}
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return QueueListing([], [], [], [])
    for entry in entries:
        if match := FILE_NAME.match(entry.name):
            if isinstance(seen := look_at(entry), str):
                held[entry.name] = seen
                continue
            files.append(
                QueueFile(
                    match["writer"],
                    int(match["sequence"]),
                    match["open"] is None,
                    folder / entry.name,
                )
            )
        elif entry.name.endswith(SEALED_SUFFIX):
            unknown.append(entry.name)
        elif entry.name.endswith(LOCK_SUFFIX):
            locks.append(entry.name)
        elif entry.name.endswith(PENDING_SUFFIX):
            pending.append(entry.name)
    return QueueListing(sorted(files), sorted(unknown), locks, pending, held)


def finish_leftovers(folder: Path) -> QueueListing:
    """Seal the open files whose writer has gone or has moved on, take in what dead writers left
    pending, remove their locks; the listing after that.

    A writer holds its lock before its first file appears and until its last one is sealed, so an
    open file whose lock can be had is nobody's any more.
    """
    listing = list_queue(folder)
    newest = {file.writer: file.sequence for file in listing.files}
    sealed_names = {file.name for file in listing.files if file.sealed} | listing.held.keys()
    with_open = {file.writer for file in listing.files if not file.sealed}
    dead = {writer for writer in with_open if _is_dead(folder, writer)}
    changed = False
    for file in listing.files:
        if file.sealed or not (file.writer in dead or file.sequence < newest[file.writer]):
            continue
        target = folder / file.name
        if file.name in sealed_names:
            # Both names exist: somebody put a copy back. It gets a name of its own.
            target = fresh_name(folder)
        with contextlib.suppress(OSError):
            file.path.rename(target)
            changed = True
    for name in listing.pending:
        writer = name[: -len(PENDING_SUFFIX)]
        if len(writer) == 32 and _is_dead(folder, writer):
            with contextlib.suppress(OSError):
                (folder / name).rename(folder / f"{writer}-{LAST_SEQUENCE:06d}{SEALED_SUFFIX}")
                changed = True
    living = {file.writer for file in listing.files} - dead
    for name in listing.locks:
        writer = name[: -len(LOCK_SUFFIX)]
        if len(writer) == 32 and writer not in living:
            _is_dead(folder, writer, remove=True)
    return list_queue(folder) if changed else listing


def fresh_name(folder: Path) -> Path:
    """An unused name for a sealed file, for content that contradicts what has landed under its own
    name.
    """
    return folder / f"{IdSource().uuid7().replace('-', '')}-000001{SEALED_SUFFIX}"


def _is_dead(folder: Path, writer: str, *, remove: bool = False) -> bool:
    """Whether nobody holds the writer's lock. `remove` deletes a dead writer's lock file while we
    hold it: a writer that gets the lock afterwards sees that the file is gone and makes another.
    """
    path = folder / f"{writer}{LOCK_SUFFIX}"
    if not path.exists():
        return True
    lock = FileLock(path)
    try:
        dead = lock.acquire()
        if dead and remove and sys.platform != "win32":
            path.unlink()
    except OSError:
        return False
    finally:
        lock.release()
    if dead and remove and sys.platform == "win32":
        # Windows deletes no open file: ours only now, and never a new holder's.
        with contextlib.suppress(OSError):
            path.unlink()
    return dead


def by_writer(files: list[QueueFile]) -> Iterator[list[QueueFile]]:
    """Files grouped by their writer, writers in the order in which they started."""
    group: list[QueueFile] = []
    for file in files:
        if group and group[-1].writer != file.writer:
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def count_lines(path: Path, start: int, end: int) -> int:
    """Line feeds between two offsets. Raises OSError."""
    count = 0
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (data := file.read(min(_READ_BYTES, end - start))):
            count += data.count(b"\n")
            start += len(data)
    return count
