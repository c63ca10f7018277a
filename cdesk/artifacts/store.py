"""Stored results: one Parquet file each under `artifacts/`, its row in `state.db`, and the URI that
names it everywhere.

    artifacts/<customer key>/<artifact_id>.parquet      cdesk://artifacts/<customer key>/<artifact_id>.parquet

The customer key is the first 16 hex digits of SHA-256 over the customer: a folder holds one
customer's results and can be removed as a whole, and neither the path nor the URI tells who it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdesk.core.errors import NotFound, StateDirectoryError

SCHEME: Final = "cdesk://artifacts/"
RETENTION_DAYS: Final = 90
"""A result is kept at least so long."""
_STALE_SECONDS: Final = 24 * 3600
_URI = re.compile(r"cdesk://artifacts/([0-9a-f]{16})/([0-9a-f-]{36})\.parquet\Z")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One stored result. Timestamps are RFC 3339 in UTC; `bytes` is the size of the file."""

    artifact_id: str
    customer: str
    uri: str
    format: str
    query_hash: str
    rows: int
    bytes: int
    sampled: bool
    created_at: str
    expires_at: str
    legal_hold: bool = False


def customer_key(customer: str) -> str:
    return hashlib.sha256(customer.encode()).hexdigest()[:16]


class ArtifactFolder:
    """Results in the state directory. A file appears under its name whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self, customer: str, artifact_id: str) -> str:
        return f"{SCHEME}{customer_key(customer)}/{artifact_id}.parquet"

    def path(self, uri: str) -> Path:
        """Where the file of `uri` lies, or would.

        Raises:
            NotFound: the URI is none of this store.
        """
        match = _URI.match(uri)
        if match is None:
            raise NotFound(f"{uri[:100]!r} is no artifact of this installation")
        return self._root / match.group(1) / f"{match.group(2)}.parquet"

    def exists(self, uri: str) -> bool:
        try:
            return self.path(uri).is_file()
        except NotFound:
            return False

    @contextlib.contextmanager
    def write(self, uri: str) -> Iterator[Path]:
        """A temporary path to write to; at the end of the block it takes its final name, after an
        error it is gone.

        Raises:
            StateDirectoryError: the folder cannot be written.
        """
        final = self.path(uri)
        temporary = final.with_name(f".{final.name}.part")
        try:
            for folder in (self._root, final.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        except OSError as error:
            raise StateDirectoryError(
                f"the result cannot be stored in {self._root} ({error.strerror}); free space or mend its permissions"
            ) from None
        try:
            yield temporary
            temporary.replace(final)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def remove(self, uri: str) -> bool:
        """Whether there was a file, and it is gone."""
        try:
            self.path(uri).unlink()
        except (OSError, NotFound):
            return False
        return True

    def files(self) -> Iterator[Path]:
        """All files, temporary ones included."""
        for folder in self._root.glob("*"):
            if folder.is_dir():
                yield from (path for path in folder.iterdir() if path.is_file())


_COLUMNS: Final = "artifact_id, customer, uri, format, query_hash, rows, bytes, sampled, created_at, expires_at, legal_hold"


def keep_artifact(connection: sqlite3.Connection, artifact: Artifact) -> None:
    """Enter a stored result."""
    connection.execute(
        f"insert or replace into artifacts ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tuple(getattr(artifact, name) for name in Artifact.__slots__),
    )


def get_artifact(connection: sqlite3.Connection, artifact_id: str, *, customer: str) -> Artifact:
    """The caller's stored result.

    Raises:
        NotFound: there is none of that id for this customer, whether or not somebody else has it.
    """
    row = connection.execute(
        f"select {_COLUMNS} from artifacts where artifact_id = ? and customer = ?",
        (artifact_id, customer),
    ).fetchone()
    if row is None:
        raise NotFound(f"artifact {artifact_id[:60]!r} is not known here; run its query again")
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["sampled"], values["legal_hold"] = bool(values["sampled"]), bool(values["legal_hold"])
    return Artifact(**values)


def hold_artifact(connection: sqlite3.Connection, artifact_id: str, *, on: bool) -> bool:
    """Put a stored result under legal hold (it outlives its retention date), or free it. Whether it
    is known.
    """
    cursor = connection.execute(
        "update artifacts set legal_hold = ? where artifact_id = ?", (on, artifact_id)
    )
    return cursor.rowcount == 1


def sweep_artifacts(connection: sqlite3.Connection, folder: ArtifactFolder, *, now: str) -> int:
    """Remove results past their retention date (those on hold stay), and files that no result owns
    after a day; how many files.
    """
    removed = 0
    expired = connection.execute(
        "select artifact_id, uri from artifacts where expires_at <= ? and not legal_hold", (now,)
    ).fetchall()
    for artifact_id, uri in expired:
        removed += folder.remove(uri)
        if not folder.exists(
            uri
        ):  # a file that somebody holds open (Windows) waits for the next sweep
            connection.execute("delete from artifacts where artifact_id = ?", (artifact_id,))
    owned = {row[0] for row in connection.execute("select artifact_id from artifacts")}
    for path in folder.files():
        with contextlib.suppress(OSError):
            if path.stem not in owned and time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()
                removed += 1
    return removed
