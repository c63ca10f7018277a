"""Checkpoints beside connections that make none."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from cdesk.state.access import AccessStore
from cdesk.state.checkpointer import Checkpointer

NOW = "2026-01-31T12:00:00.000000Z"
CUSTOMERS = [f"user-{number}@example.com" for number in range(200)]


def rows_without_log(path: Path) -> int:
    """What a copy of the main file alone holds."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy)) as connection:
        return int(connection.execute("select count(*) from tokens").fetchone()[0])


def test_a_store_that_makes_no_checkpoints_leaves_them_to_a_thread(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    log = tmp_path / "access.db-wal"
    with closing(AccessStore(path)) as store:
        store.has_valid_token(now=NOW)
    store = AccessStore(path, checkpoints=False)
    for _ in range(60):  # a thousand pages and more, which is what begins a checkpoint by itself
        store.add_tokens(CUSTOMERS, expires_at=None, now=NOW)
    assert log.stat().st_size > 1_000 * 4_096
    assert rows_without_log(path) == 0
    seconds = [0.0]
    checkpointer = Checkpointer(path, monotonic=lambda: seconds[0])
    checkpointer.tick()
    checkpointer.close()
    assert rows_without_log(path) == 60 * len(CUSTOMERS)
    store.add_tokens(CUSTOMERS, expires_at=None, now=NOW)
    checkpointer.tick()  # the log keeps its size: not again at once
    checkpointer.close()
    assert rows_without_log(path) == 60 * len(CUSTOMERS)
    seconds[0] += 60
    checkpointer.tick()
    checkpointer.close()
    assert rows_without_log(path) == 61 * len(CUSTOMERS)
    store.close()


def test_a_small_log_and_a_missing_database_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    checkpointer = Checkpointer(path)
    checkpointer.tick()
    store = AccessStore(path, checkpoints=False)
    store.add_tokens(CUSTOMERS, expires_at=None, now=NOW)
    before = path.stat().st_size
    checkpointer.tick()
    checkpointer.close()
    assert path.stat().st_size == before
    store.close()
