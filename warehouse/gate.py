"""Readers together, a writer alone: DuckDB refuses to open one file both ways within a process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator


class Gate:
    """Readers share, a writer is alone, and a waiting writer goes before new readers."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._writing = False
        self._writers_waiting = 0

    @contextlib.contextmanager
    def read(self, seconds: float) -> Iterator[None]:
        """Raises TimeoutError when writers keep the gate for longer than `seconds`."""
        with self._condition:
            if not self._condition.wait_for(lambda: not self._writing and not self._writers_waiting, seconds):
                raise TimeoutError
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def write(self, seconds: float) -> Iterator[None]:
        """Raises TimeoutError when others keep the gate for longer than `seconds`."""
        deadline = time.monotonic() + seconds
        with self._condition:
            self._writers_waiting += 1
            try:
                free = self._condition.wait_for(
                    lambda: not self._writing and not self._readers, deadline - time.monotonic()
                )
            finally:
                self._writers_waiting -= 1
                self._condition.notify_all()
            if not free:
                raise TimeoutError
            self._writing = True
        try:
            yield
        finally:
            with self._condition:
                self._writing = False
                self._condition.notify_all()
