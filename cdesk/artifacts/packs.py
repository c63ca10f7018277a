"""Small results without a file of their own: appended to the pack of their customer and quarter of
an hour, until somebody opens them.

    artifacts/<customer key>/<first 7 digits of the ids>.pack

An artifact_id begins with its time (UUIDv7), so that it names its pack. An entry is one line and
the bytes of a Parquet file; what was removed is overwritten in place.

    cdesk1 <artifact_id>-<digest> <bytes> <CRC-32 of them>\\n<bytes>\\n

An entry is known by the name of its result (cdesk/artifacts/addresses.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cdesk.artifacts.addresses import digest_in, id_in
from cdesk.core.home import make_private_folder, open_private
from cdesk.core.locks import FileLock

SMALL_BYTES: Final = 64 * 1024
"""A result up to this size (as Arrow holds it in memory) needs no file of its own."""
_LOCK_SECONDS: Final = 5.0
_ID_DIGITS: Final = 7
_PACK: Final = re.compile(r"[0-9a-f]{7}\.pack\Z")
_HEAD: Final = re.compile(rb"cdesk([1x]) ([0-9a-f-]{36,101}) (\d{1,9}) ([0-9a-f]{8})\n\Z")
_HEAD_BYTES: Final = 160


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    at: int
    """Where its head begins."""
    head_bytes: int
    size: int
    crc: int
    is_live: bool


class Packs:
    """The packs below one folder. Safe to use from several threads and processes.

    Every method may raise OSError.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._turn = threading.Lock()

    def put(self, folder: str, name: str, content: bytes) -> None:
        """Keep the bytes of a result's file."""
        head = f"cdesk1 {name} {len(content)} {zlib.crc32(content):08x}\n".encode()
        path = self._path(folder, name)
        make_private_folder(path.parent)
        with self._alone():
            fd = open_private(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            try:
                size = os.fstat(fd).st_size
                entry = head + content + b"\n"
                if size and not _ends_with_line_feed(fd, size):  # torn: its process was killed
                    entry = b"\n" + entry
                try:
                    if os.write(fd, entry) != len(entry):
                        raise OSError(28, os.strerror(28))
                except OSError:
                    os.ftruncate(fd, size)
                    raise
            finally:
                os.close(fd)

    def has(self, folder: str, name: str) -> bool:
        """Whether the result is here, whole or not."""
        with self._opened(self._path(folder, name)) as file:
            return file is not None and any(
                entry.is_live and entry.name == name for entry in _entries(file)
            )

    def get(self, folder: str, name: str) -> bytes | None:
        """The bytes of a result's file; None where they are not here, or not whole."""
        with self._opened(self._path(folder, name)) as file:
            if file is None:
                return None
            for entry in _entries(file):
                if entry.is_live and entry.name == name:
                    file.seek(entry.at + entry.head_bytes)
                    content = file.read(entry.size)
                    if len(content) == entry.size and zlib.crc32(content) == entry.crc:
                        return content
        return None

    def remove(self, folder: str, name: str) -> bool:
        """Overwrite a result; whether it was here."""
        path = self._path(folder, name)
        removed = False
        if not path.is_file():
            return False
        with self._alone():
            fd = open_private(path, os.O_RDWR)
            with os.fdopen(fd, "r+b") as file:
                for entry in list(_entries(file)):
                    if entry.is_live and entry.name == name:
                        file.seek(entry.at + entry.head_bytes)
                        file.write(bytes(entry.size))
                        file.seek(entry.at)
                        file.write(f"cdeskx {_blank(name)}".encode())
                        removed = True
        return removed

    def names(self, folder: Path) -> Iterator[str]:
        """The results that one customer's folder holds."""
        for path in _packs(folder):
            with self._opened(path) as file:
                if file is not None:
                    yield from [one.name for one in _entries(file) if one.is_live]

    def counts(self, folder: Path) -> tuple[int, int]:
        """How many packs a customer's folder has, and how many results these."""
        return len(_packs(folder)), len(list(self.names(folder)))

    def remove_empty(self, folder: Path) -> int:
        """Delete the packs that hold nothing any more; how many."""
        removed = 0
        for path in _packs(folder):
            with self._alone(), self._opened(path) as file:
                empty = file is not None and not any(one.is_live for one in _entries(file))
            if empty:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, folder: str, name: str) -> Path:
        return self._root / folder / f"{name[:_ID_DIGITS]}.pack"

    @contextlib.contextmanager
    def _opened(self, path: Path) -> Iterator[BinaryIO | None]:
        try:
            fd = open_private(path, os.O_RDONLY)
        except OSError:
            yield None
            return
        with os.fdopen(fd, "rb") as file:
            yield file

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Among all threads and processes of this folder."""
        with self._turn:
            lock = FileLock(self._root / ".packs.lock")
            deadline = time.monotonic() + _LOCK_SECONDS
            while not lock.acquire():
                if time.monotonic() > deadline:
                    raise TimeoutError(110, "another process keeps the results' lock")
                time.sleep(0.001)
            try:
                yield
            finally:
                lock.release()


def _blank(name: str) -> str:
    """The name of an entry that was removed: nothing tells what it held."""
    digest = digest_in(name)
    return f"{id_in(name)}-{'0' * len(digest)}" if digest else name


def _ends_with_line_feed(fd: int, size: int) -> bool:
    os.lseek(fd, size - 1, os.SEEK_SET)
    return os.read(fd, 1) == b"\n"


def _packs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _PACK.match(path.name))


def _entries(file: BinaryIO) -> Iterator[_Entry]:
    """The entries of a pack in order. What is torn is passed over, up to the next head."""
    size = os.fstat(file.fileno()).st_size
    at = 0
    while at < size:
        file.seek(at)
        line = file.readline(_HEAD_BYTES)
        match = _HEAD.match(line)
        if match is None:
            at = _next_head(file, at)
            continue
        entry = _Entry(
            match[2].decode(), at, len(line), int(match[3]), int(match[4], 16), match[1] == b"1"
        )
        if _is_whole(file, entry):
            yield entry
            at += len(line) + entry.size + 1
        else:
            at = _next_head(file, at)


def _is_whole(file: BinaryIO, entry: _Entry) -> bool:
    """Whether the next entry or nothing stands behind it; where something torn does, its checksum
    tells.
    """
    file.seek(entry.at + entry.head_bytes + entry.size)
    if file.read(6) in (b"\n", b"\ncdesk"):
        return True
    file.seek(entry.at + entry.head_bytes)
    return zlib.crc32(file.read(entry.size)) == entry.crc


def _next_head(file: BinaryIO, start: int) -> int:
    """Where the next head may begin; the end of the file where there is none."""
    file.seek(start)
    rest = file.read()
    found = rest.find(b"\ncdesk1 ")
    return start + (found + 1 if found >= 0 else len(rest))
