"""`context.db`: the materialized context_cache, one blob a customer. The shim reads it, the worker
renews it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from cdesk.core.errors import NewerVersion, SnapshotDamaged, SnapshotError
from cdesk.core.home import make_private_file

SNAPSHOT_VERSION: Final = 1

_SCHEMA: Final = """
create table if not exists context (
    customer text primary key,
    context blob not null,      -- UTF-8 JSON, docs/contracts.md "Context blob"
    version text not null,
    updated_at text not null
);  -- with rowid: rows of a kilobyte in the primary key's own tree would take a page of 4 KiB each
create table if not exists meta (key text primary key, value text not null) without rowid;
"""


@dataclass(frozen=True, slots=True)
class ContextRow:
    """One customer's context. `context` is UTF-8 JSON, `updated_at` RFC 3339 in UTC."""

    customer: str
    context: bytes
    version: str
    updated_at: str


_VERSION: Final = "pragma data_version"
"""Another one after each commit of another connection; this one commits nothing.
https://www.sqlite.org/pragma.html#pragma_data_version
"""
_READ: Final = """
select
    found.context, found.version, found.updated_at,
    (select value from meta where key = 'refreshed_at')
from (select 1) left join context as found on found.customer = ?
"""


class SnapshotReader:
    """Keeps one read-only connection; a missing or damaged file is an error to answer with, never a
    crash.

    The connection follows the file: one that was put in its place (a snapshot rebuilt after damage)
    is opened at the next read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = os.fspath(path)
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._customer: str | None = None
        """Whose row was read last. Who asks again is asked for the version first."""
        self._version: int | None = None
        """The version of the file that it stands in, where it is known."""
        self._found: tuple[ContextRow | None, str | None] = (None, None)

    def read(self, customer: str) -> tuple[ContextRow | None, str | None]:
        """The customer's row (None where there is none) and when the snapshot was last refreshed
        (RFC 3339).

        Raises:
            SnapshotError: the snapshot is missing or cannot be read.
        """
        try:
            connection = self._open()
            version: int | None = None
            if customer == self._customer:
                (version,) = connection.execute(_VERSION).fetchone()
                if version == self._version:
                    return self._found
            row = connection.execute(_READ, (customer,)).fetchone()
            context = None
            if row[0] is not None:
                context = ContextRow(customer, bytes(row[0]), row[1], row[2])
            found = (context, row[3])
            self._customer, self._version, self._found = customer, version, found
            return found
        except FileNotFoundError:
            self.close()
            raise SnapshotError(
                "no snapshot yet: the worker writes it with its first build"
            ) from None
        except (sqlite3.Error, OSError, TypeError) as error:
            self.close()
            raise SnapshotError(
                f"the snapshot cannot be read ({error}); the worker rebuilds it"
            ) from None

    def _open(self) -> sqlite3.Connection:
        # On every call, and in a third of the time that Path.stat takes.
        status = os.stat(self._name)  # noqa: PTH116
        file = (status.st_dev, status.st_ino)
        if self._connection is None or file != self._file:
            self.close()
            # A plain (not read-only) connection: a WAL reader needs to make the -shm file when it
            # is the first to come.
            uri = f"{self._path.absolute().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0.1)
            self._connection.execute("pragma query_only = on")
            self._file = file
        return self._connection

    def close(self) -> None:
        self._customer = self._version = None
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """What came of a renewal.

    changed: rows that are new or of another version. sample: (customer, version) of the first of
        them, at most `SnapshotWriter.SAMPLE`.
    removed: customers that are gone. latest: the greatest `updated_at` among the rows, None where
        there were none.
    """

    changed: int
    removed: int
    latest: str | None
    sample: tuple[tuple[str, str], ...]


class SnapshotWriter:
    """Renews the snapshot row by row; readers go on reading meanwhile (WAL), each customer's row
    old or new, never a part.

    A renewal of more than BATCH rows takes several transactions, so that the write-ahead log stays
    small whatever the number of customers. `marks` (and with them the point that the next delta
    starts from) are written with the last one: a renewal that was cut off is made again from the
    same point.
    """

    BATCH: Final = 2_000
    SAMPLE: Final = 1_000

    def __init__(self, path: Path) -> None:
        self._path = path

    def apply(
        self, rows: Iterable[ContextRow], *, refreshed_at: str, marks: dict[str, str] | None = None
    ) -> int:
        """Insert or replace `rows`, record the refresh (and further `marks` in meta); how many rows
        changed.

        Raises:
            SnapshotError: as `renew`.
        """
        return self.renew(rows, refreshed_at=refreshed_at, marks=marks).changed

    def renew(
        self,
        rows: Iterable[ContextRow],
        *,
        refreshed_at: str,
        marks: dict[str, str] | None = None,
        latest_mark: str | None = None,
        complete: bool = False,
    ) -> Renewal:
        """Insert or replace `rows` and record the refresh. With `complete` they are all there is:
        other customers are removed.

        `latest_mark`: the mark that the greatest `updated_at` is kept under; it stays as it was
        where there are no rows.

        Raises:
            SnapshotDamaged: the file is no database any more. SnapshotError: it cannot be written.
        """
        changed, removed, latest = 0, 0, ""
        sample: list[tuple[str, str]] = []
        try:
            with contextlib.closing(self._open()) as connection:
                # Where nobody is known yet, nobody has to be removed.
                others = complete and connection.execute(_ANYBODY).fetchone() is not None
                if others:
                    connection.execute(
                        "create temp table seen (customer text primary key) without rowid"
                    )
                source = iter(rows)
                while True:
                    batch = list(itertools.islice(source, self.BATCH))
                    connection.execute("begin immediate")
                    before = connection.total_changes
                    if len(sample) < self.SAMPLE:
                        sample += self._changing(connection, batch)[: self.SAMPLE - len(sample)]
                    connection.executemany(
                        _UPSERT,
                        [(row.customer, row.context, row.version, row.updated_at) for row in batch],
                    )
                    changed += connection.total_changes - before
                    latest = max([latest, *(row.updated_at for row in batch)])
                    if others:
                        connection.executemany(
                            "insert or ignore into seen values (?)",
                            [(row.customer,) for row in batch],
                        )
                    if len(batch) < self.BATCH:
                        break
                    connection.execute("commit")
                if others:
                    removed = connection.execute(
                        "delete from context where customer not in (select customer from seen)"
                    ).rowcount
                kept = {**(marks or {}), "refreshed_at": refreshed_at}
                if latest_mark is not None and latest:
                    kept[latest_mark] = latest
                connection.executemany(
                    "insert or replace into meta (key, value) values (?, ?)", kept.items()
                )
                connection.execute("commit")
        except (sqlite3.Error, OSError) as error:
            raise _write_error(self._path, error) from None
        return Renewal(changed, removed, latest or None, tuple(sample))

    def _changing(
        self, connection: sqlite3.Connection, batch: Sequence[ContextRow]
    ) -> list[tuple[str, str]]:
        """(customer, version) of the rows that are new here, or of another version."""
        names = orjson.dumps([row.customer for row in batch]).decode()
        known = dict(connection.execute(_VERSIONS, (names,)).fetchall())
        return [
            (row.customer, row.version) for row in batch if known.get(row.customer) != row.version
        ]

    def check(self) -> None:
        """Read the whole file once.

        Raises:
            SnapshotDamaged: it is no sound database. SnapshotError: it cannot be opened.
        """
        try:
            with contextlib.closing(self._open()) as connection:
                finding = connection.execute("pragma quick_check(1)").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            raise _write_error(self._path, error) from None
        if finding != "ok":
            raise SnapshotDamaged(f"snapshot {self._path} is damaged ({finding.splitlines()[0]})")

    def set_aside(self, suffix: str) -> None:
        """Move a damaged file out of the way (the last one of that kind is kept), so that the next
        renewal starts a new one.

        Raises:
            SnapshotError: it cannot be moved (on Windows: while a reader has it open).
        """
        try:
            for extra in ("-wal", "-shm", ""):
                path = self._path.with_name(self._path.name + extra)
                if path.exists():
                    path.replace(self._path.with_name(f"{self._path.name}{suffix}{extra}"))
        except OSError as error:
            raise _write_error(self._path, error) from None

    def mark(self, key: str) -> str | None:
        """A mark that an earlier `apply` left; None too where the file is missing or damaged."""
        if not self._path.exists():
            return None
        try:
            with contextlib.closing(self._open()) as connection:
                row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
        except (sqlite3.Error, OSError):
            return None
        return row[0] if row else None

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            make_private_file(self._path)
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        try:
            if require_known_snapshot(connection) < SNAPSHOT_VERSION:
                connection.execute(f"pragma user_version = {SNAPSHOT_VERSION}")
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def require_known_snapshot(connection: sqlite3.Connection) -> int:
    """The version of a snapshot.

    Raises:
        NewerVersion: this version of cdesk does not know it. sqlite3.Error: it cannot be read.
    """
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version > SNAPSHOT_VERSION:
        raise NewerVersion("context.db was written by a newer cdesk; upgrade this one")
    return version


_ANYBODY: Final = "select 1 from context limit 1"
_VERSIONS: Final = (
    "select customer, version from context where customer in (select value from json_each(?))"
)
_UPSERT: Final = (
    "insert into context (customer, context, version, updated_at) values (?, ?, ?, ?) "
    "on conflict (customer) do update set context = excluded.context, version = excluded.version, "
    "updated_at = excluded.updated_at where context.version <> excluded.version"
)
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _write_error(path: Path, error: Exception) -> SnapshotError:
    text = f"snapshot {path} cannot be written ({error})"
    code = getattr(error, "sqlite_errorcode", None)
    return (
        SnapshotDamaged(text)
        if code is not None and code & 0xFF in _DAMAGE
        else SnapshotError(text)
    )
