"""What the worker leaves in `worker_status` for others to read."""

from __future__ import annotations

import contextlib
import sqlite3

from cdesk.core.clock import NowNs, format_ts
from cdesk.state.facts import Fact, Row, read_status, write_status


class StatusBoard:
    """Keeps facts. A state.db that is busy or full costs the fact, never the work."""

    def __init__(self, state: sqlite3.Connection, now_ns: NowNs) -> None:
        self._state = state
        self._now_ns = now_ns
        self._shown: dict[type[Fact], Fact] = {}

    def now(self) -> str:
        """The wall clock, RFC 3339 in UTC."""
        return format_ts(self._now_ns())

    def read(self, kind: type[Row]) -> Row:
        """The fact of that kind, one of defaults where there is none."""
        return read_status(self._state, kind)

    def keep(self, fact: Fact) -> None:
        self._shown[type(fact)] = fact
        with contextlib.suppress(sqlite3.Error):
            write_status(self._state, fact, now=self.now())

    def show(self, fact: Fact) -> None:
        """As `keep`, but only where it says something new: an idle worker writes nothing."""
        if self._shown.get(type(fact)) != fact:
            self.keep(fact)
