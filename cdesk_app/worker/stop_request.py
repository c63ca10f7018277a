"""Ending a worker by a request in the state directory, which reaches it where a signal does not: on
Windows a signal to another process kills it in the middle of what it does.
"""

from __future__ import annotations

import contextlib
import os
import threading

from cdesk.core.home import StateDirectory, write_private
from cdesk.core.wake import WakeSender


def ask_to_stop(home: StateDirectory, pid: int) -> None:
    """Ask the worker of this process id to end, and end its wait. Raises OSError."""
    write_private(home.worker_stop, str(pid).encode())
    with contextlib.closing(WakeSender(home)) as waker:
        waker.send()


class StopEvent(threading.Event):
    """Set by `set`, or by a request to this process, which `is_set` looks for; `wait` does not. A
    request to another process, such as the worker before this one, is none to this.
    """

    def __init__(self, home: StateDirectory, pid: int | None = None) -> None:
        super().__init__()
        self._path = home.worker_stop
        self._pid = str(os.getpid() if pid is None else pid).encode()

    def is_set(self) -> bool:
        if super().is_set():
            return True
        try:
            asked = self._path.read_bytes() == self._pid
        except OSError:
            return False
        if asked:
            self.set()
        return asked

    def forget_request(self) -> None:
        """Take away what was asked of this process, or of an earlier one."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
