"""Jobs of the worker that leave the processor to an HTTP service, for as long as they get done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, TypeVar

from cdesk.core.processes import run_giving_way

T = TypeVar("T")

HOLD_SECONDS: Final = 300.0
"""A kind of job that was late once runs as nice as the worker for so long, and for twice as long
each time that it is late again when it is tried anew: while it was late others had to wait for it.
"""
LONGEST_HOLD_SECONDS: Final = 4 * 3_600.0


class YieldingJobs:
    """Runs the jobs of one thread. While `gives_way`, each runs in a thread of its own that gives
    way to all; the policy belongs to the thread and ends with it. Where the cores are all busy such
    a thread hardly runs: a kind of job that was late runs like the worker itself for a while.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.gives_way = False
        self._monotonic = monotonic
        self._held_until: dict[str, float] = {}
        self._held_for: dict[str, float] = {}
        """Kind → how long it is held, where it was late when it was last tried."""

    def gives_way_now(self, kind: str) -> bool:
        """Whether the next job of this kind will."""
        return self.gives_way and self._monotonic() >= self._held_until.get(kind, -math.inf)

    def run(self, kind: str, job: Callable[[], T], *, seconds: float) -> T:
        """What `job` returns, or raises. It is late if it takes longer than `seconds`."""
        begun, tried = self._monotonic(), self.gives_way_now(kind)
        try:
            return run_giving_way(job, f"cdesk-{kind}") if tried else job()
        finally:
            if self._monotonic() - begun > seconds:
                self.hold(kind, tried=tried)
            elif tried:
                self._held_for.pop(kind, None)

    def hold(self, kind: str, *, tried: bool = True) -> None:
        """Count a job of this kind as late; `tried`: one that gave way."""
        before = self._held_for.get(kind)
        if tried:
            longer = HOLD_SECONDS if before is None else 2 * before
            self._held_for[kind] = min(longer, LONGEST_HOLD_SECONDS)
        self._held_until[kind] = self._monotonic() + self._held_for.get(kind, HOLD_SECONDS)
