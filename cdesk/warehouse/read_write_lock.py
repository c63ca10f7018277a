"""Readers together, a writer alone: DuckDB refuses to open one file both ways within a process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from cdesk.core.errors import QueryCancelled

_CANCEL_POLL: Final = 0.05


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
    def read(self, seconds: float, *, cancel: threading.Event | None = None) -> Iterator[None]:
        """Hold the lock as one of the readers.

        Raises:
            TimeoutError: writers keep the lock for longer than `seconds`.
            QueryCancelled: `cancel` was set while this waited.
        """
        with self._condition:
            self._waiting_readers += 1
            try:
                free = self._wait_for(
                    lambda: not self._writing and (self._admitted > 0 or not self._waiting_writers),
                    seconds,
                    cancel,
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
        """Hold the lock alone.

        Raises:
            TimeoutError: others keep the lock for longer than `seconds`.
        """
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

    def _wait_for(
        self, is_free: Callable[[], bool], seconds: float, cancel: threading.Event | None
    ) -> bool:
        """Wait in slices where a caller may cancel: nobody notifies the condition of that."""
        if cancel is None:
            return self._condition.wait_for(is_free, seconds)
        deadline = time.monotonic() + seconds
        while not is_free():
            if cancel.is_set():
                raise QueryCancelled("the query was cancelled while it waited for a landing")
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._condition.wait(min(left, _CANCEL_POLL))
        return True
