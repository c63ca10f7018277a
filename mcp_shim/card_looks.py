"""How long a person waited for a card in the conversation: from the end of the query, or the first
look at its ticket where that came later, to the answer that brings the chart to the page.

The page paints what it is given at once; nothing of it comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST: Final = 500
"""Tickets of one session that are remembered."""


class CardLooks:
    """The tickets that one caller looks at."""

    def __init__(self) -> None:
        self._begun: OrderedDict[str, int | None] = OrderedDict()
        """Ticket → when it was first looked at (ns); None once its chart was shown."""

    def look(self, ticket_id: str, now_ns: int) -> None:
        """Somebody asks for the ticket."""
        self._begun.setdefault(ticket_id, now_ns)
        while len(self._begun) > MOST:
            self._begun.popitem(last=False)

    def shown(self, ticket_id: str, *, done_ns: int, now_ns: int) -> float | None:
        """Milliseconds that somebody waited for the chart that is shown now; None where it was
        shown before.
        """
        begun = self._begun.get(ticket_id)
        if begun is None:
            return None
        self._begun[ticket_id] = None
        return max(now_ns - max(begun, done_ns), 0) / 1e6
