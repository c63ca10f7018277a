"""The queue's writing end: one append-only NDJSON file per process (docs/contracts.md, "Queue
files").
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cdesk.core.clock import IdSource
from cdesk.core.config import Durability
from cdesk.core.errors import QueueWriteError
from cdesk.core.home import open_private
from cdesk.core.locks import FileLock

SEAL_BYTES: Final = 16 * 1024 * 1024
SEAL_SECONDS: Final = 60.0
OPEN_SUFFIX: Final = ".open.ndjson"
SEALED_SUFFIX: Final = ".ndjson"
PENDING_SUFFIX: Final = ".pending"
LOCK_SECONDS: Final = 0.5
LAST_SEQUENCE: Final = 999_999
"""The sequence number under which a dead writer's pending lines join the queue; no writer gets this
far.
"""
_PENDING_STEP: Final = 512
_COMMON_ROOM: Final = 4096
"""Bytes that every pending line is given at most because another one is long."""
FILE_NAME: Final = re.compile(
    r"(?P<writer>[0-9a-f]{32})-(?P<sequence>\d{6})(?P<open>\.open)?\.ndjson\Z"
)
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class QueueWriter:
    """Appends lines; one object per process, safe to use from several threads.

    A line is one `write` to an O_APPEND descriptor: once `append` returns it is in the file system
    and survives the death of the process. With durability `disk` the file is synced as well before
    `append` returns; threads that append meanwhile share a sync. Files are sealed (closed, then
    renamed) at 16 MiB or 60 s.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durability: Durability = "os",
        ids: IdSource | None = None,
        appended: Callable[[bytes], None] | None = None,
    ) -> None:
        """appended: told of what stands in the queue, one line or several."""
        self._folder = folder
        self._appended = appended
        self._durability = durability
        self._writer = (ids or IdSource()).uuid7().replace("-", "")
        self._sequence = 0
        self._fd: int | None = None
        self._size = 0
        self._opened = 0.0
        self._turn = threading.RLock()
        self._sync_turn = threading.Lock()
        self._synced = (0, 0)  # file number, and bytes of it that are on disk
        self._pending: int | None = None
        self._pending_lines: dict[str, bytes] = {}
        self._places: dict[str, tuple[int, int]] = {}
        """Key → where its line begins in the pending file, and its room there, in bytes."""
        self._pending_room = _PENDING_STEP
        """Bytes that a pending line is given, this minute and later."""
        self._pending_size = 0
        self._never_synced = 0  # the last file whose sync failed when it was sealed
        self._lock = FileLock(folder / f"{self._writer}.lock")
        self.records = 0
        """How many lines this writer has appended."""

    @property
    def writer(self) -> str:
        """32 hex digits: how this writer's files and lock are named."""
        return self._writer

    @property
    def _stem(self) -> Path:
        return self._folder / f"{self._writer}-{self._sequence:06d}"

    def append(self, line: bytes) -> None:
        """Put one whole line, its line feed included, into the queue; or several in one write, all
        of them or none.

        Raises:
            QueueWriteError: it could not be written; nothing of it is left in the file. (With
            durability `disk` it may also mean that
                it was written but could not be synced: then it may still land.)
        """
        with self._turn:
            try:
                fd = self._fd
                if fd is None or self.due:
                    fd = self._next_file()
                written = os.write(fd, line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                self._take_back()
                raise self._refused(error) from None
            self._size += written
            self.records += line.count(b"\n")
            place = (self._sequence, self._size)
        if self._durability == "disk":
            self._sync(place)
        if self._appended is not None:
            self._appended(line)

    @property
    def due(self) -> bool:
        """Whether the open file has reached its size or age."""
        return self._size > 0 and (
            self._size >= SEAL_BYTES or time.monotonic() - self._opened >= SEAL_SECONDS
        )

    def seal(self) -> None:
        """Close the open file and give it its final name; an empty one is removed. Nothing happens
        when none is open.

        Raises:
            OSError: it could not be renamed. It is closed all the same, and the uploader gives it
            its name.
        """
        with self._turn:
            if self._fd is None:
                return
            fd, self._fd = self._fd, None
            size, self._size = self._size, 0
            if self._durability == "disk":
                try:
                    os.fsync(fd)
                except OSError:
                    self._never_synced = self._sequence
            os.close(fd)
            stem = self._stem
            source = stem.with_name(stem.name + OPEN_SUFFIX)
            if size:
                source.rename(stem.with_name(stem.name + SEALED_SUFFIX))
            else:
                source.unlink(missing_ok=True)

    def put_pending(self, key: str, line: bytes) -> None:
        """Keep a line that will still change beside the queue, in place of the one of this key. One
        write, however many other keys there are, but where a line outgrows its place.

        They join the queue by `join_pending`, or with this process's death: so they are neither
        lost nor there twice.

        Raises:
            OSError: it could not be kept.
        """
        with self._turn:
            if self._pending is None:
                self._hold_lock()
                self._pending = open_private(
                    self._pending_path, (_FLAGS & ~os.O_APPEND) | os.O_TRUNC
                )
                self._pending_lines, self._places, self._pending_size = {}, {}, 0
            place = self._places.get(key)
            if place is None:
                place = (self._pending_size, self._pending_room)
            if len(line) <= place[1]:
                self._write_pending(place[0], _padded(line, place[1]))
                self._places[key] = place
                self._pending_size = max(self._pending_size, sum(place))
            else:
                self._lay_out_pending({**self._pending_lines, key: line})
            self._pending_lines[key] = line

    def _lay_out_pending(self, of: Mapping[str, bytes]) -> None:
        """Write all pending lines anew, each with the room that the longest needs: lines grow
        alike, and so it is done a few times, not once for each of thousands. One that is unusually
        long has room of its own. No place gets smaller, so that nothing is left behind the last.
        """
        longest = max(map(len, of.values()))
        self._pending_room = max(self._pending_room, min(_room(longest), _COMMON_ROOM))
        places, lines, end = dict[str, tuple[int, int]](), list[bytes](), 0
        for key, line in of.items():
            size = max(self._pending_room, self._places.get(key, (0, 0))[1])
            if len(line) > size:
                size = 2 * _room(len(line))
            places[key] = (end, size)
            lines.append(_padded(line, size))
            end += size
        # Room first, as a blank line: a full disk then leaves everything as it was.
        self._write_pending(self._pending_size, _padded(b"\n", end - self._pending_size))
        self._write_pending(0, b"".join(lines))
        self._places, self._pending_size = places, end

    def _write_pending(self, start: int, data: bytes) -> None:
        assert self._pending is not None
        os.lseek(self._pending, start, os.SEEK_SET)
        if os.write(self._pending, data) != len(data):
            with contextlib.suppress(OSError):
                os.ftruncate(self._pending, self._pending_size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def join_pending(self) -> None:
        """Make the pending lines, if there are any, a file of the queue.

        Raises:
            OSError: the file could not be renamed; it joins when this process has ended.
        """
        with self._turn:
            if self._pending is None:
                return
            self.seal()
            fd, self._pending = self._pending, None
            os.close(fd)
            self._sequence += 1
            stem = self._stem
            self._pending_path.rename(stem.with_name(stem.name + SEALED_SUFFIX))
            self.records += 1

    @property
    def _pending_path(self) -> Path:
        return self._folder / f"{self._writer}{PENDING_SUFFIX}"

    def close(self) -> None:
        """Seal, and give up the writer's lock."""
        with self._turn:
            with contextlib.suppress(OSError):
                self.join_pending()
            with contextlib.suppress(OSError):
                self.seal()
            self._lock.release()
            with contextlib.suppress(OSError):
                self._lock.path.unlink(missing_ok=True)

    def _next_file(self) -> int:
        with contextlib.suppress(OSError):
            self.seal()
        self._hold_lock()
        self._sequence += 1
        stem = self._stem
        self._fd = open_private(stem.with_name(stem.name + OPEN_SUFFIX), _FLAGS)
        self._size = 0
        self._opened = time.monotonic()
        return self._fd

    def _hold_lock(self) -> None:
        """Take the writer's lock: without it an uploader would treat this writer as dead.

        Retry for a while, because an uploader holds it for a moment to look or to remove its file.
        """
        if self._lock.held:
            return
        deadline = time.monotonic() + LOCK_SECONDS
        while not (self._lock.acquire() and self._lock.stands):
            self._lock.release()
            if time.monotonic() > deadline:
                raise OSError(
                    errno.ENOLCK, "the file system gives no locks; set CDESK_HOME to a local folder"
                )
            time.sleep(0.001)

    def _sync(self, place: tuple[int, int]) -> None:
        """Return once the file is on disk up to `place`. One sync serves all threads that wait."""
        with self._sync_turn:
            if self._synced >= place:
                return
            with self._turn:
                if self._sequence != place[0] or self._fd is None:
                    # It was sealed since, and synced when it was.
                    if self._never_synced == place[0]:
                        raise self._refused(OSError(errno.EIO, os.strerror(errno.EIO)))
                    return
                fd, reached = os.dup(self._fd), (self._sequence, self._size)
            try:
                os.fsync(fd)
            except OSError as error:
                raise self._refused(error) from None
            finally:
                os.close(fd)
            self._synced = reached

    def _refused(self, error: OSError) -> QueueWriteError:
        return QueueWriteError(
            f"the record could not be stored ({error.strerror}); "
            f"free space in or mend {self._folder}, then try again"
        )

    def _take_back(self) -> None:
        """Truncate what a failed write left behind, so that the next line starts on its own."""
        if self._fd is None:
            return
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            # The torn tail stays: a new file keeps the next line whole, and the uploader
            # quarantines the tail.
            with contextlib.suppress(OSError):
                self.seal()


def _room(length: int) -> int:
    """Bytes for a pending line of this length."""
    return -(-length // _PENDING_STEP) * _PENDING_STEP


def _padded(line: bytes, size: int) -> bytes:
    return line[:-1].ljust(size - 1) + b"\n"
