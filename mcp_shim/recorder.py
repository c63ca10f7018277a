"""Where the shim's records are born and put into the queue, and how the worker hears of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from cdesk.contract.records import (
    FIELDS,
    SOURCE_SYSTEM,
    SOURCE_VERSION,
    VERSION,
    encode,
    make_record,
)
from cdesk.core.checks import check_customer
from cdesk.core.clock import IdSource, NowNs, format_ts
from cdesk.core.errors import CdeskError, InvalidField
from cdesk.core.wake import WakeSender
from cdesk.queue.shedding import Shedder
from cdesk.queue.writer import QueueWriter
from mcp_shim.log import log

WAKE_SECONDS: Final = 0.2
"""At most one datagram to the worker in so many seconds."""
AT_ONCE_SECONDS: Final = 0.001
"""The answer leaves first."""


_EVENT: Final = FIELDS["event"]
_GIVEN: Final = tuple(
    (name, _EVENT[name]) for name in ("activity", "feature_json", "link", "revenue_impact")
)


class Recorder:
    """One session's records. What a caller waits for is in the file system when the method returns;
    the rest follows the answer.
    """

    def __init__(
        self,
        queue: QueueWriter,
        wake: WakeSender,
        shedder: Shedder | None = None,
        *,
        customer: str,
        ids: IdSource,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        check_customer(customer)  # once: every record of the session bears it
        self._queue = queue
        self._wake = wake
        self._shedder = shedder
        self._customer = customer
        self._ids = ids
        self._now_ns = now_ns
        self.session_id = ids.uuid7()
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._wake_timer: asyncio.TimerHandle | None = None
        self._woken = float("-inf")
        self._shed_id: str | None = None
        """The id of the report that will tell what has been shed since the last one."""

    def stamp(self) -> tuple[str, str]:
        """An identifier and a timestamp for something born now."""
        return self._ids.uuid7(), format_ts(self._now_ns())

    def query_tag(self) -> str:
        return self._ids.query_tag()

    # -- what somebody waits for

    def event(
        self, activity: Any, feature_json: Any, *, link: Any = None, revenue_impact: Any = None
    ) -> tuple[str, str, bool]:
        """Record one activity: its id, its timestamp, and whether it was written (false where
        policy sheds it, counted).

        Raises:
            InvalidField: a field outside its limits; nothing was written.
            QueueWriteError: it could not be stored; nothing is left of it.
        """
        given = {
            "activity": activity,
            "feature_json": feature_json,
            "link": link,
            "revenue_impact": revenue_impact,
        }
        for name, check in _GIVEN:
            try:
                check(given[name])
            except ValueError as error:
                raise InvalidField(name, *error.args) from None
        id, ts = self.stamp()
        line = self._event_line(given, id=id, ts=ts)
        kept = self._kept(activity)
        if kept:
            self.append(line)
        return id, ts, kept

    def _kept(self, activity: str) -> bool:
        """Whether it is written. A decision that counts is counted in the file system: the counts
        survive this process.
        """
        if self._shedder is None:
            return True
        decision = self._shedder.decide(activity, self.session_id)
        if decision.weight > 1:
            self._shed_id = self._shed_id or self._ids.uuid7()
            # A full disk: the counts are told by the next that can be written.
            with contextlib.suppress(OSError):
                self._queue.put_pending(
                    self._report_line(self._shedder.counted(), id=self._shed_id)
                )
        return decision.keep

    def _event_line(self, given: dict[str, Any], *, id: str, ts: str) -> bytes:
        """The line of an event whose own fields have been checked; the envelope is ours and needs
        no check.
        """
        return encode(
            {
                "v": VERSION,
                "kind": "event",
                "id": id,
                "ts": ts,
                "customer": self._customer,
                "session_id": self.session_id,
                "anonymous_customer_id": None,
                **given,
                "query_tag": self._ids.query_tag(),
                "source_system": SOURCE_SYSTEM,
                "source_version": SOURCE_VERSION,
            }
        )

    def insight_line(self, fields: Mapping[str, Any], *, id: str, ts: str) -> bytes:
        """A checked insight as its line, to be given to `append`. Raises InvalidField."""
        return encode(
            make_record(
                "insight",
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

    # -- what nobody waits for

    def note(self, activity: str, feature_json: dict[str, Any]) -> None:
        """Record an activity of the shim itself once the answer under way has left. Names, codes
        and numbers only, no free text.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append((activity, feature_json))

    def flush(self) -> None:
        """Write what `note` has gathered. A failure is logged: the records that somebody asked for
        had their own answer.
        """
        waiting, self._waiting = self._waiting, []
        for activity, feature_json in waiting:
            if not self._kept(activity):
                continue
            try:
                self.append(self._own_line(activity, feature_json, id=self._ids.uuid7()))
            except CdeskError as error:
                log("note_lost", activity=activity, code=error.code)

    def wake_worker(self, *, at_once: bool = False) -> None:
        """Tell the worker: soon and not too often, or at once where somebody will wait for it."""
        loop = asyncio.get_running_loop()
        if at_once and self._wake_timer is not None:
            self._wake_timer.cancel()
            self._wake_timer = None
        if self._wake_timer is None:
            delay = (
                AT_ONCE_SECONDS if at_once else max(self._woken + WAKE_SECONDS - loop.time(), 0.0)
            )
            self._wake_timer = loop.call_later(delay, self._send_wake)

    def _send_wake(self) -> None:
        self._wake_timer = None
        self._woken = asyncio.get_running_loop().time()
        self._wake.send()

    def tick(self) -> None:
        """Seal the queue file where its time has come, so that an idle shim holds nothing back;
        look how long the queue is.
        """
        if self._shedder is not None:
            self._shedder.tick()
            self._report_shed()
        if self._queue.due:
            try:
                self._queue.seal()
            except OSError as error:
                log("seal_failed", reason=error.strerror or "")

    def _report_shed(self, *, last: bool = False) -> None:
        """Put the counts of what was shed into the stream, once a minute; this record itself is
        never shed.
        """
        if self._shedder is None or (features := self._shedder.report(last=last)) is None:
            return
        try:
            self._queue.put_pending(
                self._report_line(features, id=self._shed_id or self._ids.uuid7())
            )
            self._queue.join_pending()
        except OSError as error:
            log("report_put_off", activity="cdesk.fallback_triggered", reason=error.strerror or "")
        else:
            self._shed_id = None
            self._shedder.told()
            self.wake_worker()

    def _report_line(self, features: dict[str, Any], *, id: str) -> bytes:
        return self._own_line("cdesk.fallback_triggered", features, id=id)

    def _own_line(self, activity: str, feature_json: dict[str, Any], *, id: str) -> bytes:
        """The line of an activity of the shim itself, born now."""
        given = {
            "activity": activity,
            "feature_json": feature_json,
            "link": None,
            "revenue_impact": None,
        }
        return self._event_line(given, id=id, ts=format_ts(self._now_ns()))

    def close(self) -> None:
        """Write what waits, seal, tell the worker."""
        self.flush()
        self._report_shed(last=True)
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        self._queue.close()
        self._wake.send()
        self._wake.close()
