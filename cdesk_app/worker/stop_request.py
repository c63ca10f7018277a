"""Ending a worker by a request in the state directory, where a signal cannot: on Windows a signal
to another process kills it in the middle of what it does.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from cdesk.core.home import StateDirectory, write_private

POLL_SECONDS: Final = 0.5


def ask_to_stop(home: StateDirectory, pid: int) -> None:
    """Ask the worker of this process id to end. Raises OSError."""
    write_private(home.worker_stop, str(pid).encode())


class StopRequests:
    """While entered, calls `stop` once this process is asked to end. A request to another process,
    such as the worker before this one, is none to this.
    """

    def __init__(
        self,
        home: StateDirectory,
        pid: int,
        stop: Callable[[], None],
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._path = home.worker_stop
        self._pid = pid
        self._stop = stop
        self._poll_seconds = poll_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stop-requests", daemon=True)

    def _watch(self) -> None:
        while not self._ended.wait(self._poll_seconds):
            with contextlib.suppress(OSError):
                if self._path.read_bytes() == str(self._pid).encode():
                    self._stop()
                    return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
