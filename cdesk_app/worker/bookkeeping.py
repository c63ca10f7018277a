"""The worker's own events in the stream."""

from __future__ import annotations

import logging
from typing import Any

from cdesk.contract.events import make_event
from cdesk.contract.records import encode
from cdesk.core.clock import IdSource, NowNs, format_ts
from cdesk.core.errors import CdeskError
from cdesk.queue.writer import QueueWriter

logger = logging.getLogger(__name__)


class Bookkeeping:
    """Records what the worker did. `waiting` counts its records that have not landed: they are no
    reason for a build.
    """

    def __init__(self, queue: QueueWriter, now_ns: NowNs, ids: IdSource) -> None:
        self._queue = queue
        self._now_ns = now_ns
        self._ids = ids
        self.waiting = 0

    def note(self, customer: str, activity: str, feature_json: dict[str, Any]) -> None:
        """One event; a queue that cannot be written loses it, and the log says so."""
        record = make_event(
            activity,
            feature_json,
            id=self._ids.uuid7(),
            ts=format_ts(self._now_ns()),
            customer=customer,
            session_id=None,
            query_tag=self._ids.query_tag(),
        )
        try:
            self._queue.append(encode(record))
        except CdeskError as error:
            facts = {"activity": activity, "code": error.code}
            logger.warning("event lost", extra={"facts": facts})
        else:
            self.waiting += 1

    def take_landed(self, landed: int) -> int:
        """How many of `landed` rows were ours, at most; they wait no longer."""
        own = min(self.waiting, landed)
        self.waiting -= own
        return own
