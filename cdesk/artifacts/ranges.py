"""A stored result that is read where it lies, range by range: what a card of a large result in a
bucket needs is its footer, a few row groups, a few columns.
"""

from __future__ import annotations

import io
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

BLOCK_BYTES: Final = 1024 * 1024
REMOTE_SCHEME: Final = "cdeskresult"
"""Under which an engine opens a file elsewhere."""
KEPT_BLOCKS: Final = 64
"""Blocks of a result that are kept for whoever reads them next."""


class RemoteFile(ABC):
    """One stored file elsewhere. `version` changes with its content. Safe to use from several
    threads.
    """

    def __init__(self, name: str, size: int, version: str) -> None:
        self.name = name
        self.size = size
        self.version = version
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()

    @abstractmethod
    def fetch(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`.

        Raises:
            ArtifactStoreError: they cannot be had. ArtifactUnreadable: the file has changed.
        """

    def read(self, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`. What is missing of it comes in one request for each
        gap. Raises as `fetch`.
        """
        end = min(start + length, self.size)
        if start >= end:
            return b""
        first, last = start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        have = self._known(first, last)
        at = first
        while at <= last:
            if at in have:
                at += 1
                continue
            until = at
            while until <= last and until not in have:
                until += 1
            have |= self._fetch_blocks(at, until)
            at = until
        whole = b"".join(have[block] for block in range(first, last + 1))
        return whole[start - first * BLOCK_BYTES :][: end - start]

    def _known(self, first: int, last: int) -> dict[int, bytes]:
        with self._lock:
            found = {}
            for block in range(first, last + 1):
                if (content := self._blocks.get(block)) is not None:
                    self._blocks.move_to_end(block)
                    found[block] = content
            return found

    def _fetch_blocks(self, first: int, until: int) -> dict[int, bytes]:
        start, end = first * BLOCK_BYTES, min(until * BLOCK_BYTES, self.size)
        content = self.fetch(start, end)
        found = {
            block: content[(block - first) * BLOCK_BYTES :][:BLOCK_BYTES]
            for block in range(first, until)
        }
        with self._lock:
            self._blocks |= found
            while len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        return found

    def open(self) -> BinaryIO:
        """A file object of its own over the whole."""
        return cast(BinaryIO, RemoteReader(self))


class RemoteReader(io.RawIOBase):
    """A file object over a RemoteFile."""

    def __init__(self, remote: RemoteFile) -> None:
        self._remote = remote
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._remote.size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        length = self._remote.size if size is None or size < 0 else size
        found = self._remote.read(self._at, length)
        self._at += len(found)
        return found

    def readinto(self, buffer: Any) -> int:
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


Source: TypeAlias = Path | RemoteFile | bytes
"""Where a stored result is read: a local file, one elsewhere, or the bytes of a small one that has
no file yet.
"""


def opened(source: Source) -> Path | BinaryIO:
    """The source as Arrow reads it."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return source if isinstance(source, Path) else source.open()
