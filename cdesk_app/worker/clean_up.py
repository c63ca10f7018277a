"""What goes once a day: tickets that ended long ago, answers without a stored result, results past
their retention.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import RETENTION_DAYS
from cdesk.artifacts.retention import sweep_artifacts
from cdesk.core.clock import NowNs, format_ts, parse_ts, to_ns
from cdesk.core.errors import CdeskError
from cdesk.core.home import StateDirectory
from cdesk.query.reuse import forget_answers
from cdesk.state.status import LastCleanUp
from cdesk.state.tickets import forget_tickets
from cdesk_app.render.pictures import forget_pictures
from cdesk_app.worker.status_board import StatusBoard

logger = logging.getLogger(__name__)

CLEAN_UP_SECONDS: Final = 86_400.0


class CleanUp:
    """Cleans one state directory up, once a day whichever worker of it runs then."""

    def __init__(
        self, home: StateDirectory, state: sqlite3.Connection, status: StatusBoard, now_ns: NowNs
    ) -> None:
        self._home = home
        self._store = LocalArtifacts(home.artifacts)
        self._state = state
        self._status = status
        self._now_ns = now_ns
        self._last_ns: int | None = None

    def due_in(self) -> float:
        """Seconds until the next one."""
        if self._last_ns is None:
            last = self._status.read(LastCleanUp).at
            self._last_ns = 0 if last is None else to_ns(parse_ts(last))
        since = (self._now_ns() - self._last_ns) / 1e9
        return CLEAN_UP_SECONDS - since if 0 <= since < CLEAN_UP_SECONDS else 0.0

    def run(self) -> int:
        """Remove what may go; how much went. What cannot be removed now waits for tomorrow."""
        self._last_ns = self._now_ns()
        removed = sum(
            map(self._step, (self._tickets, self._artifacts, self._answers, self._pictures))
        )
        self._status.keep(LastCleanUp(at=self._status.now(), removed=removed))
        return removed

    def _step(self, step: Callable[[], int]) -> int:
        try:
            return step()
        except (CdeskError, sqlite3.Error, OSError) as error:
            logger.warning("clean-up put off", extra={"facts": {"reason": str(error)}})
            return 0

    def _tickets(self) -> int:
        return forget_tickets(self._state, now=datetime.fromtimestamp(self._now_ns() / 1e9, UTC))

    def _artifacts(self) -> int:
        return sweep_artifacts(self._state, self._store, now=format_ts(self._now_ns()))

    def _pictures(self) -> int:
        return forget_pictures(self._home)

    def _answers(self) -> int:
        return forget_answers(self._state, now_ns=self._now_ns(), keep_days=RETENTION_DAYS)
