"""`context.db`: the materialized context_cache, one blob a customer. The shim reads it, the worker renews it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdesk.errors import SnapshotError

_SCHEMA: Final = """
create table if not exists context (
    customer text primary key,
    context blob not null,      -- UTF-8 JSON, docs/contracts.md "Context blob"
    version text not null,
    updated_at text not null
) without rowid;
create table if not exists meta (key text primary key, value text not null) without rowid;
"""


@dataclass(frozen=True, slots=True)
class ContextRow:
    """One customer's context. `context` is UTF-8 JSON, `updated_at` RFC 3339 in UTC."""

    customer: str
    context: bytes
    version: str
    updated_at: str


class SnapshotReader:
    """Keeps one read-only connection; a missing or damaged file is an error to answer with, never a crash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def read(self, customer: str) -> tuple[ContextRow | None, str | None]:
        """The customer's row (None where there is none) and when the snapshot was last refreshed (RFC 3339).

        Raises:
            SnapshotError: the snapshot is missing or cannot be read.
        """
        try:
            connection = self._open()
            row = connection.execute(
                "select context, version, updated_at from context where customer = ?", (customer,)
            ).fetchone()
            meta = connection.execute("select value from meta where key = 'refreshed_at'").fetchone()
        except (sqlite3.Error, OSError) as error:
            self.close()
            missing = not self._path.exists()
            raise SnapshotError(
                "no snapshot yet" if missing else f"snapshot cannot be read ({error})"
            ) from None
        found = ContextRow(customer, bytes(row[0]), row[1], row[2]) if row else None
        return found, meta[0] if meta else None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            # A plain (not read-only) connection: a WAL reader needs to make the -shm file when it is the first to come.
            uri = f"{self._path.absolute().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0.1)
            self._connection.execute("pragma query_only = on")
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


class SnapshotWriter:
    """Renews the snapshot row by row in one transaction; readers go on reading the old one meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def apply(
        self, rows: Iterable[ContextRow], *, refreshed_at: str, marks: dict[str, str] | None = None
    ) -> int:
        """Insert or replace `rows`, record the refresh (and further `marks` in meta); how many rows changed.

        Raises:
            SnapshotError: the file is damaged or cannot be written.
        """
        changed = 0
        try:
            with contextlib.closing(self._open()) as connection:
                connection.execute("begin immediate")
                for row in rows:
                    cursor = connection.execute(
                        "insert into context (customer, context, version, updated_at) values (?, ?, ?, ?) "
                        "on conflict (customer) do update set context = excluded.context, version = excluded.version, "
                        "updated_at = excluded.updated_at where context.version <> excluded.version",
                        (row.customer, row.context, row.version, row.updated_at),
                    )
                    changed += cursor.rowcount
                for key, value in {**(marks or {}), "refreshed_at": refreshed_at}.items():
                    connection.execute("insert or replace into meta (key, value) values (?, ?)", (key, value))
                connection.execute("commit")
        except (sqlite3.Error, OSError) as error:
            raise SnapshotError(f"snapshot {self._path} cannot be written ({error})") from None
        return changed

    def mark(self, key: str) -> str | None:
        """A mark that an earlier `apply` left, or None (also when the file is missing or damaged)."""
        try:
            with contextlib.closing(self._open()) as connection:
                row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
        except (sqlite3.Error, OSError):
            return None
        return row[0] if row else None

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection
