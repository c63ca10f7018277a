"""Writes pages of stored results for `get_result`: the first ones once no query waits, the others
when somebody asks (cdesk/state/pages.py).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from typing import Final

from cdesk.artifacts.records import get_artifact
from cdesk.artifacts.store import ArtifactStore
from cdesk.artifacts.values import PREVIEW_ROWS, cut_cells
from cdesk.core.clock import NowNs, format_ts
from cdesk.core.errors import CdeskError
from cdesk.state.pages import (
    PAGE_ROWS,
    fail_page,
    keep_pages,
    page_count,
    waited_for,
)

log = logging.getLogger(__name__)

AT_ONCE: Final = 10
"""Pages that are read together: who turns one mostly turns the next."""

assert PAGE_ROWS == PREVIEW_ROWS


class PageWriter:
    """Writes pages from the results of one store. Safe to use from several threads, each with its
    own `state` connection.
    """

    def __init__(self, store: ArtifactStore, now_ns: NowNs = time.time_ns) -> None:
        self._store = store
        self._now_ns = now_ns
        self._turn = threading.Lock()

    def write_ahead(self, state: sqlite3.Connection, artifact_id: str, *, customer: str) -> None:
        """Write the first pages of a result that has more than one. A failure is logged: a page
        that isn't there is written when somebody asks for it.
        """
        known = state.execute(
            "select 1 from result_pages where artifact_id = ? limit 1", (artifact_id,)
        ).fetchone()
        if known is not None:
            return
        try:
            self._write(state, artifact_id, 1, customer=customer)
        except (CdeskError, sqlite3.Error, OSError) as error:
            facts = {"reason": str(error)[:200]}
            log.warning("pages were not written ahead", extra={"facts": facts})

    def write_waited_for(self, state: sqlite3.Connection) -> int:
        """Write what somebody waits for until nobody does; how many pages that were."""
        count = 0
        with self._turn:
            while wanted := waited_for(state, most=1):
                (page,) = wanted
                try:
                    self._write(state, page.artifact_id, page.page, customer=page.customer)
                except CdeskError as error:
                    fail_page(
                        state, page.artifact_id, page.page, code=error.code, message=str(error)
                    )
                count += 1
        return count

    def _write(
        self, state: sqlite3.Connection, artifact_id: str, first: int, *, customer: str
    ) -> None:
        """Write `AT_ONCE` pages from `first`; the one asked for in any case, empty beyond the end.

        Raises:
            CdeskError: the result isn't the customer's, is gone, or can't be read.
        """
        from cdesk.artifacts.formats import rows_at  # here: it imports Parquet

        artifact = get_artifact(state, artifact_id, customer=customer)
        last = min(page_count(artifact.rows), first + AT_ONCE - 1)
        rows = cut_cells(
            rows_at(
                self._store.source(artifact.uri),
                (first - 1) * PAGE_ROWS,
                (max(last, first) - first + 1) * PAGE_ROWS,
            )
        )
        pages = {
            page: rows[(page - first) * PAGE_ROWS : (page - first + 1) * PAGE_ROWS]
            for page in range(first, max(last, first) + 1)
        }
        keep_pages(state, artifact_id, pages, customer=customer, now=format_ts(self._now_ns()))
