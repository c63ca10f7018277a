"""What state.db knows of stored results: enough to open one without asking the warehouse.

A cache: the warehouse's table `artifacts` decides what has expired and what is held
(cdesk/query/retention.py).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from cdesk.core.errors import NotFound

RETENTION_DAYS: Final = 90
"""A result is kept at least this long."""


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


_COLUMNS: Final = (
    "artifact_id, customer, uri, format, query_hash, rows, bytes, sampled, created_at, "
    "expires_at, legal_hold"
)


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


def is_held(connection: sqlite3.Connection, uri: str) -> bool:
    """Whether a legal hold on the result is known here."""
    found = connection.execute(
        "select 1 from artifacts where uri = ? and legal_hold limit 1", (uri,)
    ).fetchone()
    return found is not None
