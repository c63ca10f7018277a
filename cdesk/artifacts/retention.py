"""When a stored result goes: after its retention date, unless it is held."""

from __future__ import annotations

import sqlite3

from cdesk.artifacts.local import LocalArtifacts


def sweep_artifacts(connection: sqlite3.Connection, store: LocalArtifacts, *, now: str) -> int:
    """Remove results past their retention date (those on hold stay), and abandoned temporary
    files; how many files.
    """
    removed = store.remove_abandoned()
    expired = connection.execute(
        "select artifact_id, uri from artifacts where expires_at <= ? and not legal_hold", (now,)
    ).fetchall()
    for artifact_id, uri in expired:
        removed += store.remove(uri)
        if not store.exists(uri):  # one that somebody holds open (Windows) waits for the next sweep
            connection.execute("delete from artifacts where artifact_id = ?", (artifact_id,))
    return removed
