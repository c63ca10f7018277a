"""Readers together, a writer alone: DuckDB refuses to open one file both ways within a process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class ReadWriteLock:
    """Readers share, a writer is alone. A waiting writer goes before new readers; readers that
    waited for a writer go before the next.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._waiting_readers = 0
        self._admitted = 0  # readers that waited for the writer that has just gone
        self._writing = False
        self._waiting_writers = 0

    @contextlib.contextmanager
    def read(self, seconds: float) -> Iterator[None]:
        """Raises TimeoutError when writers keep the gate for longer than `seconds`."""
        with self._condition:
            self._waiting_readers += 1
            try:
                free = self._condition.wait_for(
                    lambda: not self._writing and (self._admitted > 0 or not self._waiting_writers),
                    seconds,
                )
            finally:
                self._waiting_readers -= 1
                self._admitted = max(self._admitted - 1, 0)
                self._condition.notify_all()
            if not free:
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
        with self._condition:
            self._waiting_writers += 1
            try:
                free = self._condition.wait_for(
                    lambda: not self._writing and not self._readers and not self._admitted, seconds
                )
            finally:
                self._waiting_writers -= 1
                self._condition.notify_all()
            if not free:
                raise TimeoutError
            self._writing = True
        try:
            yield
        finally:
            with self._condition:
                self._writing = False
                self._admitted = self._waiting_readers
                self._condition.notify_all()
