"""One job at a time beside the worker's loop, which goes on landing meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, Generic, TypeVar

from cdesk.core.processes import give_way_here, give_way_to_all

T = TypeVar("T")


class Beside(Generic[T]):
    """Runs a job in a thread of its own; the loop takes in what came of it. Jobs are given an event
    that tells them to end. `notify`: called from that thread when there is something to take in.
    """

    def __init__(self, name: str, notify: Callable[[], None]) -> None:
        self._name: Final = name
        self._notify = notify
        self._future: Future[T] | None = None
        self._cancel = threading.Event()

    def begin(self, job: Callable[[threading.Event], T], *, gives_way: bool = False) -> None:
        """gives_way: the job runs only when nobody else wants the processor."""
        prepare = give_way_to_all if gives_way else give_way_here
        thread = ThreadPoolExecutor(1, self._name, initializer=prepare)
        self._future = thread.submit(job, self._cancel)
        thread.shutdown(wait=False)
        self._future.add_done_callback(lambda _: self._notify())

    @property
    def is_begun(self) -> bool:
        """Whether a job runs, or has ended and was not taken in."""
        return self._future is not None

    @property
    def is_running(self) -> bool:
        return self._future is not None and not self._future.done()

    def take(self) -> T:
        """What the job returned, or raises what it raised, once; waits for it."""
        assert self._future is not None
        future, self._future = self._future, None
        return future.result()

    def close(self, seconds: float) -> None:
        """Tell the job to end, and wait so long for it."""
        self._cancel.set()
        if self._future is not None:
            wait([self._future], seconds)
