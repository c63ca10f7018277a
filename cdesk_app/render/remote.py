"""DuckDB's way to a file elsewhere: a file system of one file, read range by range. No other path
is open to it (cdesk_app/render/table.py locks the configuration).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb
from fsspec import AbstractFileSystem

from cdesk.artifacts.ranges import REMOTE_SCHEME, RemoteFile, RemoteReader
from cdesk.core.errors import CdeskError


class OneFile(AbstractFileSystem):  # type: ignore[misc]
    """A file system that holds one file. `failed`: why reading it failed, DuckDB's own error says
    less.
    """

    protocol = REMOTE_SCHEME
    cachable = False

    def __init__(self, remote: RemoteFile) -> None:
        super().__init__(skip_instance_cache=True)
        self._remote = remote
        self.failed: CdeskError | None = None

    def _open(self, path: str, mode: str = "rb", **_: Any) -> _Watched:
        del path, mode
        return _Watched(self._remote, self)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self._remote.size, "type": "file"}

    def modified(self, path: str) -> datetime:
        del path
        return datetime(2000, 1, 1, tzinfo=UTC)

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path]


class _Watched(RemoteReader):
    """The file, whose failures the system notes."""

    def __init__(self, remote: RemoteFile, system: OneFile) -> None:
        super().__init__(remote)
        self._system = system

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except CdeskError as error:
            self._system.failed = error
            raise OSError(str(error)) from error


def attach(connection: duckdb.DuckDBPyConnection, remote: RemoteFile) -> OneFile:
    """Make the file known to a connection, before its configuration is locked."""
    system = OneFile(remote)
    connection.register_filesystem(system)
    return system
