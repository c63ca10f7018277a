"""The service's line for each request: written in batches behind the answers, for it is on
everybody's way. What stands in it comes from fixed lists, so nothing has to be taken out.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import Final, TextIO

import orjson

from cdesk.core.clock import format_ts

WAIT_SECONDS: Final = 0.05
BATCH_BYTES: Final = 4_000
"""Several processes write to one pipe; up to 4 KiB at a time do not mix."""


class RequestLog:
    """Lines in the form of `cdesk.core.log`. Used on the event loop only."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self._name = name
        self._stream = stream
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, facts: dict[str, str | int | float | None]) -> None:
        """Note a request: names from fixed lists, digests and numbers only."""
        entry = {
            "ts": format_ts(time.time_ns()),
            "level": "info",
            "logger": self._name,
            "message": "request",
            **facts,
        }
        self._waiting.append(orjson.dumps(entry) + b"\n")
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits. A standard error that is closed or full is no reason to stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._waiting = self._waiting, []
        batch = b""
        with contextlib.suppress(OSError, ValueError):
            for line in lines:
                if batch and len(batch) + len(line) > BATCH_BYTES:
                    self._write(batch)
                    batch = b""
                batch += line
            if batch:
                self._write(batch)

    def _write(self, batch: bytes) -> None:
        stream = self._stream or sys.stderr
        stream.write(batch.decode())
        stream.flush()
