"""Identical questions at the same time: one runs, the others wait and get its answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from cdesk.core.errors import QueryCancelled
from cdesk.query.request import QueryRequest

_CANCEL_POLL: Final = 0.05
_Key = tuple[str, str, int]


class InFlight:
    """The questions that run now. Safe to use from several threads."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._running: set[_Key] = set()

    @contextlib.contextmanager
    def turn(self, request: QueryRequest, cancel: threading.Event) -> Iterator[None]:
        """Holds one of identical requests at a time. The next finds the answer of the one before,
        where it stands; one that wants a run of its own does not wait.

        Raises:
            QueryCancelled: `cancel` was set while this waited.
        """
        if request.fresh or not request.template.reuse:
            yield
            return
        key = (request.caller.customer, request.query_hash, request.cap)
        with self._turn:
            while key in self._running:
                if cancel.is_set():
                    raise QueryCancelled("the query was cancelled while another answered it")
                self._turn.wait(_CANCEL_POLL)
            self._running.add(key)
        try:
            yield
        finally:
            with self._turn:
                self._running.discard(key)
                self._turn.notify_all()
