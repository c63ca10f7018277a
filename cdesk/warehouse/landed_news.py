"""Whether what has landed is news to a customer's questions: counted, so that nobody has to ask the
warehouse after each landing.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import orjson

from cdesk.contract.vocabulary import SYSTEM_ACTIVITIES
from cdesk.warehouse.batch import LineBatch

LOOKED_AT: Final = 2_000
"""A batch of more lines counts as news to everybody; to read them would cost more than it saves."""


class LandedNews:
    """Counts landed events by customer, those that the system records of its own work apart: they
    are left behind by asking too. Other kinds show with the next build.
    """

    def __init__(self) -> None:
        self._all = 0
        self._events: Counter[str] = Counter()
        self._system_events: Counter[str] = Counter()

    def everything(self) -> None:
        """Everybody's data may be other than before."""
        self._all += 1
        self._events.clear()
        self._system_events.clear()

    def add(self, batch: LineBatch) -> None:
        """Count the lines of one landing."""
        if len(batch) > LOOKED_AT:
            self.everything()
            return
        for kind, payload in zip(batch.kinds, batch.payloads, strict=True):
            if kind not in ("event", "revision"):
                continue
            try:
                record = orjson.loads(payload)
                customer, activity = record["customer"], record["activity"]
            except (ValueError, KeyError, TypeError):
                self.everything()
                continue
            of_system = activity in SYSTEM_ACTIVITIES
            (self._system_events if of_system else self._events)[str(customer)] += 1

    def mark(self, customer: str | None, *, system: bool) -> str:
        """A text that stays the same until there is news to `customer`, or to anybody where that is
        None; `system` where the system's own activities count.
        """
        counters = (self._events, self._system_events) if system else (self._events,)
        counts = [one.total() if customer is None else one[customer] for one in counters]
        return "-".join(map(str, (self._all, *counts)))
