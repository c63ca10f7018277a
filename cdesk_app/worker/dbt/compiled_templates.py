"""Jinja's code of dbt's macros and models, kept from one process to the next as Python keeps its
own in `.pyc` files: to compile them takes as long as a build.

    target/templates.bin    32 bytes that say by which versions, then one record after the other
    a record                what was compiled (16 bytes), size (4), code, checksum (16)

Records are appended; what follows a torn one is dropped. A file of other versions, or one that has
grown beyond `MOST_BYTES`, begins anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import sys
import threading
from importlib import metadata
from pathlib import Path
from types import CodeType
from typing import Final

from cdesk.core.home import open_private, write_private

MOST_BYTES: Final = 32 * 1024 * 1024
_KEY: Final = 16
_HEAD: Final = 32


def _digest(data: bytes, size: int) -> bytes:
    return hashlib.blake2b(data, digest_size=size).digest()


class CompiledTemplates:
    """The code that `file` keeps. Where the file can be neither read nor written nothing is kept.

    made_by: versions of whatever could compile the same text to other code, Python and Jinja apart.
    """

    def __init__(self, file: Path, made_by: str) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._found: dict[bytes, bytes] = {}
        known = f"{made_by} jinja2={metadata.version('jinja2')} python={sys.version}"
        self._head = _digest(known.encode(), _HEAD)
        with contextlib.suppress(OSError):
            self._read()

    def _read(self) -> None:
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            data = b""
        whole = 0
        if data.startswith(self._head) and len(data) <= MOST_BYTES:
            whole = _HEAD
            while (end := self._record(data, whole)) is not None:
                whole = end
        if whole < len(data) or not data:
            write_private(self._file, data[:whole] or self._head)

    def _record(self, data: bytes, start: int) -> int | None:
        """Take in the record that begins at `start`; its end, None where no whole one follows."""
        code = start + _KEY + 4
        end = code + int.from_bytes(data[code - 4 : code], "little")
        if end + _KEY > len(data) or data[end : end + _KEY] != _digest(data[start:end], _KEY):
            return None
        self._found[data[start : start + _KEY]] = data[code:end]
        return end + _KEY

    def get(self, compiled: str) -> CodeType | None:
        """The code of what `compiled` names: the text and all that it was compiled with."""
        found = self._found.get(_digest(compiled.encode("utf-8", "surrogatepass"), _KEY))
        code = None if found is None else marshal.loads(found)
        return code if isinstance(code, CodeType) else None

    def keep(self, compiled: str, code: object) -> None:
        """Append `code`, for the processes that come."""
        if not isinstance(code, CodeType):  # Jinja's own text, where that was asked for
            return
        key, data = _digest(compiled.encode("utf-8", "surrogatepass"), _KEY), marshal.dumps(code)
        record = key + len(data).to_bytes(4, "little") + data
        record += _digest(record, _KEY)
        with self._lock, contextlib.suppress(OSError):
            file = open_private(self._file, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(file, record)
            finally:
                os.close(file)
