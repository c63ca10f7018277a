"""When the warehouse is built: decided from what has happened, on clocks that are passed in.

    asked for (a request, `--once`)                        at once
    never built, or the project changed                    at once
    an insight landed                                      DEBOUNCE_SECONDS later, and at least
                                                           INSIGHT_GAP_SECONDS after the last build
    more than MANY_ROWS landed                             the same with MANY_GAP_SECONDS
    anything else landed                                   the same with GAP_SECONDS
    a new day began (UTC; counts are over calendar days)   at once

Under pressure all gaps are longer (`stretch`, cdesk_app/worker/pressure.py).

What the worker itself wrote about its builds (`cdesk.context_refreshed`) counts as nothing: a build
must not be the reason for the next. After a build that failed nothing but a request comes before a
pause, 30 s doubling up to 15 minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cdesk.core.backoff import Backoff
from cdesk.core.clock import NowNs

GAP_SECONDS: Final = 300.0
INSIGHT_GAP_SECONDS: Final = 60.0
MANY_ROWS: Final = 20_000
MANY_GAP_SECONDS: Final = 15.0
"""What is not built yet is worked out for whoever asks `events_live`, 13 µs a line, and a build
keeps the warehouse for a second and 60 µs a line: neither is to grow with five minutes of a high
rate.
"""
DEBOUNCE_SECONDS: Final = 3.0
"""Records of one turn come in a bunch: the build waits for the bunch."""
FAILED_BUILD: Final = Backoff(30.0, 900.0)
_DAY_NS: Final = 86_400_000_000_000


class BuildSchedule:
    """Seconds until the next build, None while there is no reason for one."""

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, now_ns: NowNs = time.time_ns
    ) -> None:
        self._monotonic = monotonic
        self._now_ns = now_ns
        self._built_at: float | None = None
        self._built_day: int | None = None
        self._landed_at: float | None = None
        self._landed_rows = 0
        self._insight = False
        self._requested = False
        self._stale = False
        self._failures = 0
        self._failed_at = 0.0
        self.stretch = 1.0
        """How much longer the pauses between builds for what has landed are."""
        self.failed_with: str | None = None
        """The error code of the last build, None where it succeeded."""

    def landed(self, rows: int, *, insights: bool) -> None:
        """Note that `rows` landed which are more than bookkeeping, insights among them or not."""
        if rows > 0 and self._landed_at is None:
            self._landed_at = self._monotonic()
        self._landed_rows += rows
        self._insight = self._insight or (rows > 0 and insights)

    def request(self) -> None:
        """Somebody asked for a build."""
        self._requested = True

    def stale(self) -> None:
        """The tables are missing or of another project."""
        self._stale = True

    def resume(self, built_ns: int, *, empty: bool = False) -> None:
        """An earlier worker built at `built_ns` (wall clock); `empty`: the tables came with the
        installation, so that, as after the build that makes them, no gap has begun.
        """
        now = self._now_ns()
        self._built_day = _day(built_ns)
        self._built_at = None if empty else self._monotonic() - max(now - built_ns, 0) / 1e9

    @property
    def reason(self) -> str | None:
        """Why there will be a build: `requested`, `stale`, `insight`, `landed`, `new_day`."""
        if self._requested:
            return "requested"
        if self._stale:
            return "stale"
        if self._landed_at is not None:
            return "insight" if self._insight else "landed"
        if self._built_day is not None and _day(self._now_ns()) > self._built_day:
            return "new_day"
        return None

    @property
    def is_stale(self) -> bool:
        """Whether a build has to make everything anew: it was said so since the last one."""
        return self._stale

    @property
    def can_wait(self) -> bool:
        """Whether the next build is one for which nobody waits, over tables that stand."""
        return self.reason in ("insight", "landed", "new_day")

    def due_in(self) -> float | None:
        reason, now = self.reason, self._monotonic()
        if reason is None or reason == "requested":
            return None if reason is None else 0.0
        at = now
        if self._landed_at is not None and reason in ("insight", "landed"):
            gap = self._gap * self.stretch
            at = self._landed_at + DEBOUNCE_SECONDS
            if self._built_at is not None:
                at = max(at, self._built_at + gap)
        if self._failures:
            at = max(at, self._failed_at + FAILED_BUILD.pause(self._failures))
        return max(at - now, 0.0)

    @property
    def nears_many(self) -> bool:
        """Whether so much has landed that a build may be due from one landing to the next."""
        return self._landed_rows > MANY_ROWS // 2

    @property
    def _gap(self) -> float:
        if self._landed_rows > MANY_ROWS:
            return MANY_GAP_SECONDS
        return INSIGHT_GAP_SECONDS if self._insight else GAP_SECONDS

    def succeeded(self) -> None:
        """A build has ended well; what landed before it began is in.

        The build that makes the tables starts no gap: what waited for them is to be seen as soon as
        it has landed.
        """
        self._built_at = None if self._stale else self._monotonic()
        self._built_day = _day(self._now_ns())
        self._landed_at, self._landed_rows = None, 0
        self._insight = self._requested = self._stale = False
        self._failures = 0
        self.failed_with = None

    def failed(self, error_code: str) -> None:
        """A build has failed: its reason stays, a request is answered."""
        self.failed_with = error_code
        self._failures += 1
        self._failed_at = self._monotonic()
        if self._requested:
            self._requested = False
            self._landed_at = self._landed_at if self._landed_at is not None else self._failed_at


def _day(ns: int) -> int:
    """The number of a day (UTC)."""
    return ns // _DAY_NS
