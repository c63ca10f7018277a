"""Checkpoints of a database in WAL mode for a process whose own connections make none: a checkpoint
syncs, which on an event loop would keep everybody waiting.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOG_BYTES: Final = 4 * 1024 * 1024
"""A log below this is left alone."""
PAUSE_SECONDS: Final = 60.0
"""From one checkpoint to the next: the log's file keeps its size when it begins anew."""
CLOSE_SECONDS: Final = 5.0


class Checkpointer:
    """`tick` now and then: it checkpoints in a thread of its own where the log has grown."""

    def __init__(
        self,
        path: Path,
        *,
        log_bytes: int = LOG_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._log_bytes = log_bytes
        self._monotonic = monotonic
        self._begun = float("-inf")
        self._thread: threading.Thread | None = None

    def tick(self) -> None:
        """Never waits, never raises."""
        if self._monotonic() - self._begun < PAUSE_SECONDS:
            return
        try:
            if self._log.stat().st_size <= self._log_bytes:
                return
        except OSError:
            return
        self._begun = self._monotonic()
        self._thread = threading.Thread(
            target=self._checkpoint, name="cdesk-checkpoint", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Wait for the one that runs."""
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _checkpoint(self) -> None:
        # Passive: neither readers nor writers wait for it.
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as connection,
        ):
            connection.execute("pragma wal_checkpoint(passive)").fetchall()
