"""What a caller has: an identity, a recorder for its records, its context and its insights that
state.db did not take. `app` holds what the process has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from cdesk import __version__
from cdesk.contract.events import check_event, event_record
from cdesk.contract.records import encode, make_record, without_credentials
from cdesk.core.checks import check_customer
from cdesk.core.clock import format_ts
from cdesk.core.identity import Caller
from cdesk.core.metrics import (
    CARD_SECONDS,
    ERRORS,
    FIRST_TOKEN_SECONDS,
    TOOL_CALL_SECONDS,
    TOOL_CALLS,
)
from mcp_shim.app import App, RecordQueue
from mcp_shim.card_looks import CardLooks
from mcp_shim.context import CustomerContext

Json = dict[str, Any]


_OWN_WORDS: Final = frozenset(
    ("cdesk.tool_called", "cdesk.error_encountered", "cdesk.insight_recorded")
)
"""What the server notes of these holds names, codes and numbers of its own, or what has been looked
at for credentials already.
"""


class Recorder:
    """Makes the records of one caller's session and hands them to the process's queue."""

    def __init__(
        self, records: RecordQueue, *, customer: str, session_id: str | None = None
    ) -> None:
        check_customer(customer)  # once: every record of the session bears it
        self._records = records
        self.customer = customer
        self.session_id = session_id or records.ids.uuid7()

    def stamp(self) -> tuple[str, str]:
        """An identifier and a timestamp for something born now."""
        return self._records.ids.uuid7(), format_ts(self._records.now_ns())

    def query_tag(self) -> str:
        return self._records.ids.query_tag()

    def event(
        self, activity: Any, feature_json: Any, *, link: Any = None, revenue_impact: Any = None
    ) -> tuple[str, str, bool]:
        """Record one activity: its id, its timestamp, and whether it was written (false where
        policy sheds it, counted).

        Raises:
            InvalidField: a field outside its limits; nothing was written.
            QueueWriteError: it could not be stored; nothing is left of it.
        """
        check_event(activity, feature_json, link, revenue_impact)
        records = self._records
        id, ts = self.stamp()
        record = event_record(
            activity,
            feature_json,
            id=id,
            ts=ts,
            customer=self.customer,
            session_id=self.session_id,
            query_tag=records.ids.query_tag(),
            link=link,
            revenue_impact=revenue_impact,
        )
        line = encode(record)
        kept = records.keeps(self, activity)
        if kept:
            records.append(line)
        return id, ts, kept

    def insight(
        self, fields: Mapping[str, Any], *, id: str, ts: str
    ) -> tuple[Mapping[str, Any], bytes]:
        """A checked insight without credentials, and its line, to be given to `append`.

        Raises:
            InvalidField: a field outside its limits.
        """
        record = make_record(
            "insight",
            id=id,
            ts=ts,
            customer=self.customer,
            session_id=self.session_id,
            query_tag=self._records.ids.query_tag(),
            fields=fields,
            is_envelope_known=True,
        )
        clean = dict(without_credentials("insight", record))
        return clean, encode(clean, ours=True)

    def append(self, line: bytes) -> None:
        """Put a line into the queue. Raises QueueWriteError."""
        self._records.append(line)

    def note(self, activity: str, feature_json: Json) -> None:
        """Record an activity of the shim itself once the answer under way has left: names, codes
        and numbers only, no free text.
        """
        self._records.note(self, activity, feature_json)

    def own_line(
        self, activity: str, feature_json: Json, *, id: str, ts: str | None = None
    ) -> bytes:
        """The line of an activity of the shim itself, born at `ts`; None: now."""
        record = event_record(
            activity,
            feature_json,
            id=id,
            ts=ts or format_ts(self._records.now_ns()),
            customer=self.customer,
            session_id=self.session_id,
            query_tag=self._records.ids.query_tag(),
        )
        return encode(record, ours=activity in _OWN_WORDS)


class Session:
    """One caller on one connection. It begins with the first thing that the client does, and its
    beginning, calls and end are recorded.
    """

    def __init__(
        self, app: App, caller: Caller, *, session_id: str | None = None, shared: bool = False
    ) -> None:
        """`shared`: the process serves other customers too."""
        self.app = app
        self.caller = caller
        self.shared = shared
        self.recorder = Recorder(app.records, customer=caller.customer, session_id=session_id)
        self.context = CustomerContext(app.readers, caller.customer)
        self.card_looks = CardLooks()
        self._client_shows_cards = False
        self.client: object = None
        """What the client said of itself when it was last looked at."""
        self.calls = 0
        self.errors = 0
        self._timers: dict[tuple[str, str], Callable[[float], None]] = {}
        """Tool and outcome → what counts a call of it."""
        self._started: float | None = None
        self._path_seconds: float | None = None
        """What the calls of this turn have taken since its get_context; None before that."""

    @property
    def shows_cards(self) -> bool:
        """Whether pages beside answers are shown: the client does, which is known once the session
        has begun, and the feature is on.
        """
        return self._client_shows_cards and self.app.cards

    @shows_cards.setter
    def shows_cards(self, client_does: bool) -> None:
        self._client_shows_cards = client_does

    @property
    def begun(self) -> bool:
        return self._started is not None

    def begin(self, *, client: tuple[str, str] | None, protocol_version: str) -> None:
        """Record the beginning. `client`: its name and version, where it gave them."""
        self._started = time.monotonic()
        name, version = client or (None, None)
        self.recorder.note(
            "cdesk.session_started",
            {
                "client_name": name[:200] if name is not None else None,
                "client_version": version[:200] if version is not None else None,
                "protocol_version": protocol_version,
                "server_version": __version__,
            },
        )
        self.app.after_call(needs_worker=False)

    def resume(self) -> None:
        """Go on with a session whose beginning is recorded already, by another process perhaps."""
        self._started = time.monotonic()

    def called(
        self, tool: str, *, latency_ms: float, error_code: str | None, cancelled: bool = False
    ) -> None:
        """Record a call that has been answered, or that its caller has `cancelled`."""
        self.calls += 1
        outcome = "error" if error_code else "cancelled" if cancelled else "ok"
        self._count(tool, latency_ms / 1000, outcome, error_code)
        self.recorder.note(
            "cdesk.tool_called",
            {
                "tool": tool,
                "latency_ms": latency_ms,
                "outcome": outcome,
                "error_code": error_code,
            },
        )
        if error_code:
            self.errors += 1
            self.recorder.note("cdesk.error_encountered", {"tool": tool, "error_code": error_code})

    def card_shown(self, result: Mapping[str, Any], elapsed_ms: float) -> None:
        """Record that the chart of a result was shown in the conversation after so long a wait."""
        self.app.counts.observe(CARD_SECONDS, elapsed_ms / 1000, "chat")
        self.recorder.note(
            "cdesk.card_ready",
            {
                "artifact_id": result["artifact"]["artifact_id"],
                "query_hash": result.get("query_hash"),
                "template": result.get("template"),
                "chart": result.get("chart"),
                "rows": result.get("row_count"),
                "elapsed_ms": round(elapsed_ms, 3),
                "shown_in": "chat",
            },
        )

    def _count(self, tool: str, seconds: float, outcome: str, error_code: str | None) -> None:
        counts, transport = self.app.counts, self.app.transport
        timer = self._timers.get((tool, outcome))
        if timer is None:
            timer = self._timers[tool, outcome] = counts.timer(
                TOOL_CALL_SECONDS, (tool, transport), TOOL_CALLS, (tool, transport, outcome)
            )
        timer(seconds)
        if error_code:
            counts.add(ERRORS, tool, error_code)
        if tool == "get_context":
            self._path_seconds = seconds
        elif self._path_seconds is not None:
            self._path_seconds += seconds
            if tool == "submit_query":
                counts.observe(FIRST_TOKEN_SECONDS, self._path_seconds, transport)
                self._path_seconds = None
            elif tool == "get_result":  # the turn went on without a query of its own
                self._path_seconds = None

    def end(self, reason: str) -> None:
        """Record the end of a session that has begun."""
        if self._started is None:
            return
        self.recorder.note(
            "cdesk.session_ended",
            {
                "reason": reason,
                "duration_ms": round((time.monotonic() - self._started) * 1000),
                "calls": self.calls,
                "errors": self.errors,
            },
        )
        self._started = None
