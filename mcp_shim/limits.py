"""How much one customer may ask of a process: token buckets and calls at a time."""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cdesk.core.errors import CdeskError

BURST_SECONDS: Final = 10.0
"""A bucket holds what fills it in this time, and at least `LEAST_BURST`."""
LEAST_BURST: Final = 10.0
MAX_AT_A_TIME: Final = 32
"""Requests of one customer that are under way at a time, streams and waiting calls included."""
MAX_KEYS: Final = 50_000


class TooMany(CdeskError):
    """A limit of the caller's own is reached; `retry_after` is in whole seconds."""

    code = "rate_limited"

    def __init__(self, what: str, retry_after: float) -> None:
        self.retry_after = max(1, math.ceil(retry_after))
        super().__init__(f"too many {what}; try again in {self.retry_after} s")


class RateLimit:
    """A token bucket for each key. What has been full for long is forgotten, the oldest first."""

    def __init__(
        self, what: str, *, per_minute: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._rate = per_minute / 60
        self._burst = max(LEAST_BURST, self._rate * BURST_SECONDS)
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Key → what is in the bucket, and when that was."""

    def take(self, key: str) -> None:
        """Take one from the bucket of `key`. Raises TooMany."""
        now = self._monotonic()
        level, since = self._buckets.pop(key, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        enough = level >= 1
        self._buckets[key] = (level - 1 if enough else level, now)
        while len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        if not enough:
            raise TooMany(self._what, (1 - level) / self._rate)


class AtATime:
    """Counts what is under way for each key."""

    def __init__(self, most: int = MAX_AT_A_TIME) -> None:
        self._most = most
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def one(self, key: str) -> Iterator[None]:
        """Hold a place for `key` meanwhile. Raises TooMany."""
        if self._under_way[key] >= self._most:
            raise TooMany("requests at a time", 1)
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]


class Denials:
    """Says of a key's refusals whether one more is to be recorded: one in `seconds`."""

    def __init__(self, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._recorded: OrderedDict[str, float] = OrderedDict()
        """Key → when one was recorded last, the longest ago first."""

    def is_due(self, key: str) -> bool:
        now = self._monotonic()
        while self._recorded and now - next(iter(self._recorded.values())) >= self._seconds:
            self._recorded.popitem(last=False)
        if key in self._recorded:
            return False
        self._recorded[key] = now
        return True
