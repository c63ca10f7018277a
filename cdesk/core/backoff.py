"""When to try again: exponential back-off with full jitter, and a circuit breaker that probes
before it closes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, Literal

BreakerState = Literal["closed", "open", "half_open"]
OPENS_AFTER: Final = 3
"""Failures in a row after which the breaker is shown as open."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0


class Breaker:
    """Guards the warehouse. After each failure nothing is tried for a random time up to 0.5 s, 1 s,
    2 s … 60 s (full jitter).

    From the third failure in a row on it is `open`; when its pause is over it is `half_open`, and
    the next attempt should be a small one:
    success closes it, failure opens it again with a longer pause.
    """

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, rng: random.Random | None = None
    ) -> None:
        self._monotonic = monotonic
        self._rng = rng or random.Random()
        self._until = 0.0
        self.failures = 0
        self.reason: str | None = None

    @property
    def wait(self) -> float:
        """Seconds until the next attempt is due; 0 when it may be made now."""
        return max(0.0, self._until - self._monotonic()) if self.failures else 0.0

    @property
    def state(self) -> BreakerState:
        if self.failures < OPENS_AFTER:
            return "closed"
        return "open" if self.wait else "half_open"

    def failed(self, reason: str) -> float:
        """Note a failure; the pause that follows, in seconds."""
        self.failures += 1
        self.reason = reason
        ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - 1, 16))
        pause = self._rng.uniform(0.0, ceiling)
        self._until = self._monotonic() + pause
        return pause

    def succeeded(self) -> None:
        self.failures = 0
        self.reason = None
