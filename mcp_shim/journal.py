"""Where the shim's records are born and put into the queue, and how the worker hears of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from cdesk.backpressure import Shedder
from cdesk.clock import IdSource, NowNs, format_ts
from cdesk.errors import CdeskError
from cdesk.queue import QueueWriter
from cdesk.records import Kind, encode, make_record
from cdesk.wake import WakeSender
from mcp_shim.log import log

WAKE_SECONDS: Final = 0.2
"""At most one datagram to the worker in so many seconds."""


class Journal:
    """One session's records. `record` returns once the line is in the file system; everything else happens after the answer."""

    def __init__(
        self,
        queue: QueueWriter,
        wake: WakeSender,
        *,
        customer: str,
        ids: IdSource,
        now_ns: NowNs = time.time_ns,
        shedder: Shedder | None = None,
    ) -> None:
        self._queue = queue
        self._shedder = shedder
        self._wake = wake
        self._customer = customer
        self._ids = ids
        self._now_ns = now_ns
        self.session_id = ids.uuid7()
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._wake_timer: asyncio.TimerHandle | None = None
        self._woken = float("-inf")

    def stamp(self) -> tuple[str, str]:
        """An identifier and a timestamp for something born now."""
        return self._ids.uuid7(), format_ts(self._now_ns())

    def query_tag(self) -> str:
        return self._ids.query_tag()

    def record(self, kind: Kind, fields: Mapping[str, Any], *, id: str, ts: str) -> None:
        """Check the record and put it into the queue.

        Raises:
            InvalidField: a field outside its limits; nothing was written.
            QueueWriteError: it could not be stored; nothing is left of it.
        """
        self.append(self.line(kind, fields, id=id, ts=ts))

    def line(self, kind: Kind, fields: Mapping[str, Any], *, id: str, ts: str) -> bytes:
        """The checked record as its line. Raises InvalidField."""
        return encode(
            make_record(
                kind,
                id=id,
                ts=ts,
                customer=self._customer,
                session_id=self.session_id,
                query_tag=self._ids.query_tag(),
                fields=fields,
            )
        )

    def append(self, line: bytes) -> None:
        """Put a line into the queue. Raises QueueWriteError."""
        self._queue.append(line)
        self.wake_worker()

    def event(
        self,
        activity: str,
        feature_json: object,
        *,
        link: object = None,
        revenue_impact: object = None,
    ) -> tuple[str, str, bool]:
        """Record one activity; its id and timestamp, and whether it is written: not while its session is shed. Raises as `record`."""
        id, ts = self.stamp()
        fields = {
            "anonymous_customer_id": None,
            "activity": activity,
            "feature_json": feature_json,
            "link": link,
            "revenue_impact": revenue_impact,
        }
        line = self.line("event", fields, id=id, ts=ts)
        kept = self._shedder is None or self._shedder.decide(activity, self.session_id).keep
        if kept:
            self.append(line)
        return id, ts, kept

    def report_shed(self, *, last: bool = False) -> None:
        """Put the counts of what was shed into the stream, once a minute; this record itself is never shed."""
        if self._shedder is None or (features := self._shedder.report(last=last)) is None:
            return
        id, ts = self.stamp()
        fields = {
            "anonymous_customer_id": None,
            "activity": "cdesk.fallback_triggered",
            "feature_json": features,
            "link": None,
            "revenue_impact": None,
        }
        try:
            self.record("event", fields, id=id, ts=ts)
        except CdeskError as error:
            log("note_lost", activity="cdesk.fallback_triggered", code=error.code)

    # -- what nobody waits for

    def note(self, activity: str, feature_json: dict[str, Any]) -> None:
        """Record an activity of the shim itself once the answer under way has left."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append((activity, feature_json))

    def flush(self) -> None:
        """Write what `note` has gathered. A failure is logged: the records that somebody asked for had their own answer."""
        waiting, self._waiting = self._waiting, []
        for activity, feature_json in waiting:
            try:
                self.event(activity, feature_json)
            except CdeskError as error:
                log("note_lost", activity=activity, code=error.code)

    def wake_worker(self) -> None:
        """Tell the worker, soon and not too often."""
        if self._wake_timer is None:
            loop = asyncio.get_running_loop()
            delay = max(self._woken + WAKE_SECONDS - loop.time(), 0.0)
            self._wake_timer = loop.call_later(delay, self._send_wake)

    def _send_wake(self) -> None:
        self._wake_timer = None
        self._woken = asyncio.get_running_loop().time()
        self._wake.send()

    def tick(self) -> None:
        """Seal the queue file where its time has come, so that an idle shim holds nothing back."""
        if self._shedder is not None:
            self._shedder.tick()
            self.report_shed()
        if self._queue.due:
            try:
                self._queue.seal()
            except OSError as error:
                log("seal_failed", reason=error.strerror or "")

    def close(self) -> None:
        """Write what waits, seal, tell the worker."""
        self.flush()
        self.report_shed(last=True)
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        self._queue.close()
        self._wake.send()
        self._wake.close()
