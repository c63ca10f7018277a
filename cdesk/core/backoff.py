"""When to try again: exponential back-off with jitter, and a circuit breaker that probes before it
closes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

BreakerState = Literal["closed", "open", "half_open"]
OPENS_AFTER: Final = 3
"""Failures in a row after which the breaker is shown as open."""

Jitter = tuple[float, float]
"""The random share of a pause that is taken, from the least to the greatest."""
NO_JITTER: Final[Jitter] = (1.0, 1.0)
FULL_JITTER: Final[Jitter] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between attempts, in seconds: `first`, times `factor` each, at most `longest`.

    `jitter` spreads those who wait for the same thing. With FULL_JITTER a pause is any time up to
    the one named; jitter above 1 may exceed `longest` by that share.
    """

    first: float
    longest: float
    factor: float = 2.0
    jitter: Jitter = NO_JITTER

    def pause(self, attempt: int, rng: random.Random | None = None) -> float:
        """The pause after attempt number `attempt`, which counts from 1.

        Raises:
            ValueError: `attempt` is below 1.
        """
        if attempt < 1:
            raise ValueError(f"attempt is {attempt}; attempts count from 1")
        ceiling = min(self.longest, self.first * self.factor ** min(attempt - 1, 64))
        if self.jitter == NO_JITTER:
            return ceiling
        return ceiling * (rng or random).uniform(*self.jitter)

    def pauses(self, rng: random.Random | None = None) -> Iterator[float]:
        """The pauses of one wait, without end."""
        attempt = 0
        while True:
            attempt += 1
            yield self.pause(attempt, rng)


LANDING: Final = Backoff(0.5, 60.0, jitter=FULL_JITTER)


class Breaker:
    """Guards the warehouse: after each failure nothing is tried for a pause of `backoff`.

    From the third failure in a row on it is `open`; when its pause is over it is `half_open`, and
    the next attempt should be a small one: success closes it, failure opens it again with a longer
    pause.
    """

    def __init__(
        self,
        *,
        backoff: Backoff = LANDING,
        monotonic: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._backoff = backoff
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
        pause = self._backoff.pause(self.failures, self._rng)
        self._until = self._monotonic() + pause
        return pause

    def succeeded(self) -> None:
        self.failures = 0
        self.reason = None
