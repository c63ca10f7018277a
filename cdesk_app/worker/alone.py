"""Having a state directory to oneself: the running worker is ended, and none starts meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Final

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock, is_held
from cdesk.core.wake import read_worker
from cdesk_app.worker.stop_request import ask_to_stop

STOP_SECONDS: Final = 15.0
_TAKE_SECONDS: Final = 5.0


def stop_worker(
    home: StateDirectory,
    *,
    seconds: float = STOP_SECONDS,
    by_signal: bool = sys.platform != "win32",
) -> bool:
    """Tell the worker to end, and wait until none runs; false where one still does after `seconds`.
    It is told by a request in the state directory, and `by_signal` too: an earlier version knows
    nothing of requests.

    One that has just begun may not have written its process id yet: it is read anew until the lock
    is free.
    """
    told: int | None = None
    deadline = time.monotonic() + seconds
    while is_held(home.worker_lock):
        if time.monotonic() > deadline:
            return False
        worker = read_worker(home)
        if worker is not None and worker.pid != told:
            with contextlib.suppress(OSError):
                ask_to_stop(home, worker.pid)
                if by_signal:
                    os.kill(worker.pid, signal.SIGTERM)
                told = worker.pid
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def alone(home: StateDirectory) -> Iterator[None]:
    """Hold the worker's lock for the block, after the running worker has ended. The MCP server
    starts another when it needs one.

    Raises:
        StateDirectoryError: the worker does not end, or others start again and again.
    """
    lock = FileLock(home.worker_lock)
    deadline = time.monotonic() + _TAKE_SECONDS
    while True:
        if not stop_worker(home):
            raise StateDirectoryError(
                f"the worker has not ended in {STOP_SECONDS:.0f} s; its log is {home.worker_log}"
            )
        if lock.acquire():
            break
        if time.monotonic() > deadline:
            raise StateDirectoryError("a worker starts again and again; try again later")
    try:
        yield
    finally:
        lock.release()
