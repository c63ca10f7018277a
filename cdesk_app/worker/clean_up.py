"""What goes once a day: tickets that ended long ago, answers without a stored result, pages that
nobody turns any more, results past their retention, and activities past theirs where the person
has set one.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from cdesk.artifacts.records import RETENTION_DAYS
from cdesk.artifacts.store import ArtifactStore
from cdesk.core.clock import IdSource, NowNs, format_ts, parse_ts, to_ns
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller
from cdesk.query.retention import TEMPLATE as EXPIRED
from cdesk.query.retention import sweep_artifacts
from cdesk.query.reuse import forget_answers
from cdesk.state.catalog import open_catalog
from cdesk.state.forgotten import forget_hidden
from cdesk.state.pages import KEEP_DAYS as PAGE_DAYS
from cdesk.state.pages import forget_pages
from cdesk.state.status import LastCleanUp
from cdesk.state.tickets import forget_tickets
from cdesk.warehouse.protocol import Warehouse
from cdesk_app.worker.presentation import Presenter
from cdesk_app.worker.status_board import StatusBoard
from uploader.archive import Archive

logger = logging.getLogger(__name__)

CLEAN_UP_SECONDS: Final = 86_400.0
ARCHIVE_SECONDS: Final = 30.0


class CleanUp:
    """Cleans one state directory up, once a day whichever worker of it runs then."""

    def __init__(
        self,
        settings: Settings,
        home: StateDirectory,
        warehouse: Warehouse,
        store: ArtifactStore,
        presenter: Presenter,
        state: sqlite3.Connection,
        status: StatusBoard,
        now_ns: NowNs,
        *,
        retain: Callable[[], int],
    ) -> None:
        """retain: deletes the activities that are past their days; how many rows."""
        self._retain = retain
        # On the embedded default the directory holds everybody's results; on Snowflake a role
        # sees, and a directory holds, one customer's.
        roles = frozenset((ANALYST,)) if settings.target == "duckdb" else frozenset[str]()
        self._caller = Caller(settings.customer, roles)
        self._catalog = open_catalog(home)
        self._warehouse = warehouse
        self._store = store
        self._presenter = presenter
        self._state = state
        self._status = status
        self._now_ns = now_ns
        self._queue = home.queue
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
            map(
                self._step,
                (
                    self._tickets,
                    self._artifacts,
                    self._answers,
                    self._pages,
                    self._hidden,
                    self._archive,
                    self._retain,
                    self._presenter.clean_up,
                ),
            )
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

    def _hidden(self) -> int:
        return forget_hidden(self._state, now=datetime.fromtimestamp(self._now_ns() / 1e9, UTC))

    def _archive(self) -> int:
        """Queue files that landed long ago: a worker that lives for minutes has no other time."""
        return Archive(self._queue).clean_up(max_seconds=ARCHIVE_SECONDS)

    def _artifacts(self) -> int:
        return sweep_artifacts(
            self._state,
            self._store,
            self._warehouse,
            self._catalog.get().get(EXPIRED),
            self._caller,
            query_tag=IdSource().query_tag(),
        )

    def _answers(self) -> int:
        return forget_answers(self._state, now_ns=self._now_ns(), keep_days=RETENTION_DAYS)

    def _pages(self) -> int:
        limit = self._now_ns() - PAGE_DAYS * 86_400 * 1_000_000_000
        return forget_pages(self._state, before=format_ts(limit))
