"""What wakes the worker, heard in a thread of its own: a question that comes while the loop builds
or lands is started at once, and not once that is done.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from cdesk.core.processes import start_ordinary
from cdesk.core.wake import WakeListener

logger = logging.getLogger(__name__)

_LISTEN_SECONDS: Final = 3_600.0
_SIGNAL_SECONDS: Final = 0.25 if sys.platform == "win32" else _LISTEN_SECONDS
"""A signal ends no wait for an event on Windows: its handler runs once that is over."""

_END_SECONDS: Final = 5.0


class Waking:
    """Hears the wake-ups of a listener: `asked` is called for each, from this thread, and `wait` is
    the loop's.
    """

    def __init__(self, listener: WakeListener, asked: Callable[[], None]) -> None:
        self._listener = listener
        self._asked = asked
        self._woken = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="cdesk-waking", daemon=True)
        start_ordinary(self._thread)

    def wait(self, seconds: float) -> bool:
        """Block until woken (True), or for so long (False)."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            if self._woken.wait(min(left, _SIGNAL_SECONDS)):
                self._woken.clear()
                return True
            if left <= _SIGNAL_SECONDS:
                return False

    def close(self) -> None:
        self._closing.set()
        self._listener.interrupt()
        self._thread.join(_END_SECONDS)

    def _listen(self) -> None:
        while not self._closing.is_set():
            if not self._listener.wait(_LISTEN_SECONDS):
                continue
            if self._closing.is_set():
                self._woken.set()
                return
            try:
                self._asked()
            except Exception:
                logger.exception("nothing was started for a wake-up")
            self._woken.set()
