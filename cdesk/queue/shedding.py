"""Shedding by declared policy when the queue is too long, decided per customer and session,
counted, and reported.

Up to 100,000 undelivered records everything is kept. Past that, each doubling sheds a further band
of the vocabulary's priorities. The first band keeps one session in four, and a quarter of that with
each doubling more, down to one in 256: a session that is kept under a high weight is kept under
every lower one. Questions, answers, insights and errors (priority 0) are never shed. Where several
customers write, those who write less than half of the mean are not shed: who floods the queue sheds
their own.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cdesk.contract.vocabulary import SHED_PRIORITY, UNKNOWN_PRIORITY
from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.queue.depth import Delivered, DepthCounter, read_delivered
from cdesk.state.database import open_state

LIMIT: Final = 100_000
"""Undelivered records up to which nothing is shed."""
RECOVERED: Final = 0.8
"""Shedding at a level ends when the depth is below this part of what began it."""
BANDS: Final = (75, 50, 25, 1)
"""Level n sheds priorities of BANDS[n - 1] and more."""
MOST_WEIGHT: Final = 256
MEASURE_SECONDS: Final = 2.0
REPORT_SECONDS: Final = 60.0
SHORTEST_LINE: Final = 300
"""Bytes: no record of the contract is shorter, so fewer bytes than this times the limit need no
counting.
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """keep: whether to write the activity. weight: how many of its kind a kept one stands for,
    itself included; 1 means no sampling.
    """

    keep: bool
    weight: int


KEEP: Final = Decision(keep=True, weight=1)


def level_for(depth: int, *, current: int = 0, limit: int = LIMIT) -> int:
    """The shedding level: 0 up to `limit`, one more each time the depth doubles, at most 8, with
    hysteresis on the way down.
    """
    rising = _level(depth, limit)
    return rising if rising >= current else min(current, _level(depth / RECOVERED, limit))


def _level(depth: float, limit: int) -> int:
    return 0 if depth <= limit else min(8, 1 + int(math.log2(depth / limit)))


def weight_for(activity: str, level: int) -> int:
    """Keep one session in this many for the activity at this level; 1 keeps all."""
    priority = SHED_PRIORITY.get(activity, UNKNOWN_PRIORITY)
    for band, lowest in enumerate(BANDS, start=1):
        if priority >= lowest:
            return min(MOST_WEIGHT, 4 ** (level - band + 1)) if level >= band else 1
    return 1


def is_kept(session_id: str, weight: int) -> bool:
    """Whether the session is among those kept: the same answer in every process, at any time."""
    return zlib.crc32(session_id.encode("utf-8")) % weight == 0


class Shedder:
    """One process's view of the queue, for all its callers. `decide` costs a comparison; `tick`
    measures in a thread of its own, every 2 s at most.

        decision = shedder.decide(activity, customer=…, session_id=…)   # before a record is written
        features = shedder.counted(customer)     # of their cdesk.fallback_triggered, never shed
        shedder.tick()                           # now and then, off the turn path
        if shedder.is_due(): …
        shedder.told()                           # once they are written
    """

    def __init__(
        self,
        home: StateDirectory,
        *,
        limit: int = LIMIT,
        monotonic: Callable[[], float] = time.monotonic,
        connect: Callable[[], sqlite3.Connection] | None = None,
    ) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._connect = connect or (
            lambda: open_state(home.state_db, timeout_seconds=0.5, mends=False)
        )
        self._counter = DepthCounter(home.queue)
        self._measured = float("-inf")
        self._thread: threading.Thread | None = None
        self._reported = float("-inf")
        self._since = monotonic()
        self._counts: dict[str, dict[str, list[int]]] = {}
        """Customer → activity → kept, shed, greatest weight."""
        self._recent: dict[str, float] = {}
        """Customer → activities while the level is above 0; halved with each measurement."""
        self._recent_sum = 0.0
        self.level = 0
        self.depth = 0

    def decide(self, activity: str, *, customer: str, session_id: str) -> Decision:
        """Whether this activity is written. Counts what is shed and what is kept meanwhile."""
        if self.level == 0:
            return KEEP
        weight = weight_for(activity, self.level)
        quiet = self._is_quiet(customer)
        if weight == 1 or quiet:
            return KEEP
        keep = is_kept(session_id, weight)
        counts = self._counts.setdefault(customer, {}).setdefault(activity, [0, 0, 0])
        counts[0 if keep else 1] += 1
        counts[2] = max(counts[2], weight)
        return Decision(keep=keep, weight=weight)

    def _is_quiet(self, customer: str) -> bool:
        """Count one activity of a customer; whether they write less than half of what customers
        write on average.
        """
        count = self._recent[customer] = self._recent.get(customer, 0.0) + 1
        self._recent_sum += 1
        return 2 * count * len(self._recent) < self._recent_sum

    def _age(self) -> None:
        """Let what was written longer ago count for less, and forget who has stopped."""
        self._recent = {
            customer: count / 2 for customer, count in self._recent.items() if count > 0.5
        }
        self._recent_sum = sum(self._recent.values())

    def tick(self) -> None:
        """Start a measurement if one is due, without waiting for it."""
        if self._monotonic() - self._measured < MEASURE_SECONDS or (
            self._thread is not None and self._thread.is_alive()
        ):
            return
        self._measured = self._monotonic()
        self._age()
        self._thread = threading.Thread(target=self.measure, name="cdesk-depth", daemon=True)
        self._thread.start()

    def measure(self) -> int:
        """Measure the queue, set the level, return the depth (0 where it is surely below the
        limit). Never raises.
        """
        try:
            depth = self._depth()
        except OSError:
            return self.depth  # an unreadable queue folder has its own error, on writing
        self.depth = depth
        self.level = level_for(depth, current=self.level, limit=self._limit)
        return depth

    def is_due(self, *, last: bool = False) -> bool:
        """Whether what was shed is to be told: there is something, and a minute has gone by.

        `last` is for a process that ends: what has been counted is told now.
        """
        return bool(self._counts) and (last or self._monotonic() - self._reported >= REPORT_SECONDS)

    def told(self) -> None:
        """The reports have been written: counting begins anew."""
        self._counts = {}
        self._since = self._reported = self._monotonic()

    def counted(self, customer: str) -> dict[str, Any]:
        """Features of a `cdesk.fallback_triggered` over what has been counted of a customer since
        the last report.
        """
        return {
            "from": "log",
            "to": "sampled",
            "reason": "queue_depth",
            "depth": self.depth,
            "level": self.level,
            "seconds": round(self._monotonic() - self._since, 3),
            "activities": {
                name: {"kept": kept, "shed": shed, "weight": weight}
                for name, (kept, shed, weight) in sorted(self._counts.get(customer, {}).items())
            },
        }

    def _depth(self) -> int:
        least = self._limit * SHORTEST_LINE
        if self._counter.undelivered_bytes({}) < least:
            return 0
        delivered: dict[str, Delivered] = {}
        with (
            contextlib.suppress(sqlite3.Error, StateDirectoryError),
            contextlib.closing(self._connect()) as state,
        ):
            delivered = read_delivered(state)
        if self._counter.undelivered_bytes(delivered) < least:
            return 0
        return self._counter.measure(delivered).lines
