"""Calls that must not hang us: each runs in a thread of its own and is waited for so long."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from cdesk.core.errors import WarehouseUnavailable

T = TypeVar("T")


class BoundedCalls:
    """Runs one call at a time. A call past its deadline is left to itself; until it has come to an
    end, which may be never, no other is begun.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._hanging: threading.Thread | None = None

    def __call__(
        self,
        call: Callable[[], T],
        seconds: float,
        *,
        abandoned: Callable[[T], None] = lambda _: None,
    ) -> T:
        """What `call` returns or raises. `abandoned` takes what it returns past its deadline.

        Raises:
            WarehouseUnavailable: no answer within `seconds`, or an earlier call still hangs.
        """
        if self._hanging is not None and self._hanging.is_alive():
            raise WarehouseUnavailable(
                f"{self._what} still doesn't answer an earlier call; it is tried again"
            )
        answers: queue.SimpleQueue[tuple[bool, T | BaseException]] = queue.SimpleQueue()
        lock = threading.Lock()
        is_abandoned = False

        def run() -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  # raised anew by the one who waits
                answers.put((False, error))
                return
            with lock:
                if not is_abandoned:
                    answers.put((True, result))
                    return
            abandoned(result)

        thread = threading.Thread(target=run, name="cdesk-snowpipe", daemon=True)
        thread.start()
        try:
            succeeded, value = answers.get(timeout=seconds)
        except queue.Empty:
            with lock:
                is_abandoned = answers.empty()
            if is_abandoned:
                self._hanging = thread
                raise WarehouseUnavailable(
                    f"{self._what} has not answered within {seconds:.0f} s; it is tried again"
                ) from None
            succeeded, value = answers.get()
        if succeeded:
            return value  # type: ignore[return-value]
        raise value  # type: ignore[misc]
