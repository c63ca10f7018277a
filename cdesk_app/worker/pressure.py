"""The degradation plan: what is given up under pressure, in which order, and given back afterwards.

    fresh builds   builds for what has landed come four times as seldom; requested ones at once
    previews       no chart is painted ahead: a card paints its own when somebody looks
    summaries      answers leave without headline, finding and card
    sampling       activities are shed by declared policy (cdesk/queue/shedding.py)

Pressure is how full the queue is against the depth at which sampling begins, or how many queries
wait against MANY_QUERIES, whichever is more. Each thing that is given up is counted, and whoever
asks for the context is told (`stale_reason`). Insights, questions and answers are never given up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cdesk.core.metrics import DEGRADED
from cdesk.queue.shedding import LIMIT, RECOVERED
from cdesk.state.counts import Counts
from cdesk.state.status import Pressure
from cdesk_app.worker.status_board import StatusBoard

logger = logging.getLogger(__name__)

MANY_QUERIES: Final = 200
"""Queries that wait; more of them count as a full queue."""
STRETCH: Final = 4.0
"""How much longer the pauses between builds are."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the plan: taken when the pressure reaches `at`, of 1."""

    name: str
    at: float


FRESH_BUILDS: Final = Step("fresh_builds", 0.25)
PREVIEWS: Final = Step("previews", 0.5)
SUMMARIES: Final = Step("summaries", 0.75)
SAMPLING: Final = Step("sampling", 1.0)
PLAN: Final = (FRESH_BUILDS, PREVIEWS, SUMMARIES, SAMPLING)


class Degradation:
    """How many steps are taken. `look` is for the worker's thread, the rest for any."""

    def __init__(
        self,
        status: StatusBoard,
        counts: Counts,
        *,
        enabled: bool = True,
        limit: int = LIMIT,
        many_queries: int = MANY_QUERIES,
    ) -> None:
        self._status = status
        self._counts = counts
        self._enabled = enabled
        self._limit = limit
        self._many_queries = many_queries
        self.step = 0
        """How many steps of PLAN are taken."""
        self.on_change: Callable[[], None] = lambda: None

    def look(self, *, depth: int, queries: int) -> int:
        """Take or give back steps for so many records and queries that wait; how many are taken."""
        if not self._enabled:
            return 0
        pressure = max(depth / self._limit, queries / self._many_queries)
        rising, falling = _steps(pressure), _steps(pressure / RECOVERED)
        before, self.step = self.step, rising if rising >= self.step else min(self.step, falling)
        # Also at the start of a worker: the one before may have ended under pressure.
        told = self._status.read(Pressure)
        if self.step != before or told.step != self.step:
            self._tell(depth, queries)
            self.on_change()
        return self.step

    def _tell(self, depth: int, queries: int) -> None:
        reason = None
        if self.step:
            names = ", ".join(step.name.replace("_", " ") for step in PLAN[: self.step])
            reason = f"{depth:,} records and {queries:,} queries wait: given up are {names}"
        logger.warning("pressure", extra={"facts": {"step": self.step, "reason": reason}})
        self._status.keep(Pressure(step=self.step, reason=reason, at=self._status.now()))

    def gives_up(self, step: Step) -> bool:
        """Whether the step is taken."""
        return self.step > PLAN.index(step)

    def gave_up(self, step: Step) -> None:
        """Count one thing that was given up."""
        self._counts.add(DEGRADED, step.name)


def _steps(pressure: float) -> int:
    return sum(pressure >= step.at for step in PLAN)
