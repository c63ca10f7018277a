"""What the five tools do, without the protocol around them. Each takes its arguments as they came
and answers with structured content.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import math
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from cdesk.contract.catalog import Catalog, load_catalog
from cdesk.core.clock import format_ts, parse_ts
from cdesk.core.errors import (
    CatalogError,
    CdeskError,
    InvalidField,
    SnapshotError,
    StateDirectoryError,
)
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.state.kill_switch import read_switch
from cdesk.state.snapshot import ContextRow, SnapshotReader
from cdesk.state.tickets import (
    BYTE_CAP_MAX,
    BYTE_CAP_MIN,
    ENDED,
    EXPIRY_SECONDS,
    Ticket,
    cancel_ticket,
    get_ticket,
    queue_position,
    submit_ticket,
)
from mcp_shim.context import empty_context, read_sections, trim
from mcp_shim.recorder import Recorder
from mcp_shim.state import SharedState
from mcp_shim.surface import (
    DEFAULT_CONTEXT_BYTES,
    MAX_CONTEXT_BYTES,
    MAX_WAIT_SECONDS,
    MIN_CONTEXT_BYTES,
    arguments_of,
)

Json = dict[str, Any]
Progress = Callable[[float, float, str], Awaitable[None]]
"""(seconds waited, seconds to wait, what is going on)"""

PROGRESS_SECONDS: Final = 1.0
LATE_SECONDS: Final = 15 * 60
"""The snapshot is stale when something landed, or was remembered, so long ago and still does not
show in it.
"""
MAX_PENDING: Final = 200
_PENDING: Final = """
select
    pending.id, pending.ts, pending.subject, pending.metric, pending.value, pending.provenance_query_hash,
    (select value from worker_status where key = 'last_landing')
from (select 1)
left join (
    select * from pending_insights where customer = ? order by ts desc, id desc limit ?
) as pending on true
order by pending.ts desc, pending.id desc
"""


class CatalogFile:
    """The catalog, read again when its file changes."""

    def __init__(self, home: StateDirectory) -> None:
        self._path = home.catalog
        self._seen: tuple[int, int, int] | None = None
        self._catalog: Catalog | None = None
        self._error: CatalogError | None = None

    def look(self) -> Catalog | None:
        """The catalog as it stands, or None where there is none that can be used."""
        try:
            return self.get()
        except CatalogError:
            return None

    def get(self) -> Catalog:
        """Raises CatalogError where it is missing or unusable."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            self._seen = self._catalog = None
            return load_catalog(self._path)  # says what to do
        if seen != self._seen:
            self._catalog, self._error = None, None
            try:
                self._catalog = load_catalog(self._path)
            except CatalogError as error:
                self._error = error
            self._seen = seen
        if self._catalog is None:
            raise self._error or CatalogError(f"{self._path} cannot be read; run 'cdesk refresh'")
        return self._catalog


class Service:
    """The tools of one session. Only local files are touched; nothing here waits for the warehouse."""

    def __init__(
        self,
        home: StateDirectory,
        caller: Caller,
        recorder: Recorder,
        state: SharedState,
        *,
        worker_missing: Callable[[], str | None] = lambda: None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._caller = caller
        self._recorder = recorder
        self._state = state
        self._snapshot = SnapshotReader(home.context_db)
        self._worker_missing = worker_missing
        self._now_ns = now_ns
        self.catalog = CatalogFile(home)
        self._unsaved: list[Json] = []
        """Insights of this session that state.db did not take: pending here all the same."""
        self._last: tuple[tuple[Any, ...], tuple[Json, bytes]] | None = None
        """What the last context was made of, and the answer."""
        self._tools: dict[str, Callable[[Json, Progress | None], Awaitable[Json]]] = {
            "log_event": self._log_event,
            "submit_query": self._submit_query,
            "get_result": self._get_result,
            "log_insight": self._log_insight,
        }

    async def call(
        self, tool: str, arguments: Mapping[str, Any] | None, progress: Progress | None
    ) -> bytes:
        """Run one tool: its answer as UTF-8 JSON.

        Raises:
            CdeskError: what is wrong and what to do; nothing half-written is left.
        """
        given = dict(arguments or {})
        known = arguments_of(tool)
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name[:100], known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise InvalidField(name[:60], f"unknown for {tool}{hint}", ", ".join(known))
        if tool == "get_context":
            return self._get_context(given)
        return orjson.dumps(await self._tools[tool](given, progress))

    # -- writing

    async def _log_event(self, given: Json, _: Progress | None) -> Json:
        activity_id, ts, kept = self._recorder.event(
            _required(given, "activity", "an activity such as cdesk.user_asked"),
            _required(given, "feature_json", "an object with the details; {} where there are none"),
            link=given.get("link"),
            revenue_impact=given.get("revenue_impact"),
        )
        return {"accepted": "queued" if kept else "sampled", "activity_id": activity_id, "ts": ts}

    async def _log_insight(self, given: Json, _: Progress | None) -> Json:
        if "value" not in given:
            raise InvalidField("value", "missing", "text, a finite number, a boolean or null")
        fields = {
            "subject": _named(given, "subject", "what the insight is about"),
            "metric": _named(given, "metric", "which property of the subject"),
            "value": given["value"],
            "provenance_query_hash": given.get("provenance_query_hash"),
        }
        insight_id, ts = self._recorder.stamp()
        line = self._recorder.insight_line(fields, id=insight_id, ts=ts)
        row = (
            insight_id,
            self._caller.customer,
            ts,
            fields["subject"],
            fields["metric"],
            orjson.dumps(fields["value"]).decode(),
            fields["provenance_query_hash"],
        )
        stored = False

        def store(connection: sqlite3.Connection) -> None:
            # The row first, the line second, the commit last: a line that cannot be written takes
            # the row with it.
            nonlocal stored
            connection.execute(
                "insert into pending_insights (id, customer, ts, subject, metric, value, provenance_query_hash) "
                "values (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            self._recorder.append(line)
            stored = True

        try:
            await self._state.write(store)
        except StateDirectoryError as error:
            # The record is what counts; that it is pending is remembered here instead.
            if not stored:
                self._recorder.append(line)
            self._unsaved.append({**fields, "ts": ts, "insight_id": insight_id})
            self._recorder.note(
                "cdesk.fallback_triggered",
                {"component": "state.db", "fallback": "memory", "error_code": error.code},
            )
        self._recorder.note(
            "cdesk.insight_recorded",
            {
                "insight_id": insight_id,
                "subject": fields["subject"],
                "metric": fields["metric"],
                "provenance_query_hash": fields["provenance_query_hash"],
            },
        )
        return {"accepted": "queued", "insight_id": insight_id, "ts": ts, "status": "pending"}

    # -- reading

    def _get_context(self, given: Json) -> bytes:
        customer = given.get("customer_id")
        if customer is not None:
            if not isinstance(customer, str):
                raise InvalidField(
                    "customer_id", f"is {type(customer).__name__}", "text, or leave it out"
                )
            self._caller.require_customer(customer)
        max_bytes = _integer(
            given,
            "max_bytes",
            low=MIN_CONTEXT_BYTES,
            high=MAX_CONTEXT_BYTES,
            default=DEFAULT_CONTEXT_BYTES,
        )
        return self._context(max_bytes=max_bytes)[1]

    def context(self, *, max_bytes: int = DEFAULT_CONTEXT_BYTES) -> Json:
        """The caller's context: snapshot, pending insights, how fresh; at most `max_bytes` as JSON."""
        return self._context(max_bytes=max_bytes)[0]

    def _context(self, *, max_bytes: int) -> tuple[Json, bytes]:
        """The caller's context, and the same as JSON.

        What it is made of is read afresh each time; where none of it has changed, the last answer
        is.
        """
        customer = self._caller.customer
        reasons: list[str] = []
        row: ContextRow | None = None
        as_of: str | None = None
        try:
            row, as_of = self._snapshot.read(customer)
        except SnapshotError as error:
            reasons.append(str(error))
        try:
            rows, landing = self._state.read(self._load_pending)
        except StateDirectoryError:
            rows, landing = [], None
            reasons.append("insights on their way cannot be read")
        if late := self._late(as_of, landing, rows):
            reasons.append(late)
        if reasons and (missing := self._worker_missing()):
            reasons.append(missing)
        made_of = (
            row.version if row else None,
            as_of,
            rows,
            len(self._unsaved),
            reasons,
            max_bytes,
        )
        if self._last is not None and self._last[0] == made_of:
            return self._last[1]
        sections = empty_context()
        if row is not None:
            try:
                sections = read_sections(row.context)
            except ValueError:
                reasons.append(
                    "the snapshot holds a context that is no JSON; the worker rebuilds it"
                )
        self._forget_arrived(sections)
        head = {
            "customer": customer,
            "as_of": as_of,
            "version": row.version if row else None,
            "stale": bool(reasons),
            "stale_reason": "; ".join(reasons)[:600] or None,
        }
        answer = trim(head, sections, self._pending(rows), max_bytes=max_bytes)
        self._last = (made_of, answer)
        return answer

    def _load_pending(self, connection: sqlite3.Connection) -> tuple[list[tuple[Any, ...]], object]:
        rows = connection.execute(_PENDING, (self._caller.customer, MAX_PENDING)).fetchall()
        landing = orjson.loads(rows[0][6]) if rows[0][6] else None
        return [row[:6] for row in rows if row[0] is not None], landing

    def _pending(self, rows: list[tuple[Any, ...]]) -> list[Json]:
        """Insights on their way, newest first."""
        pending = [
            {
                "subject": subject,
                "metric": metric,
                "value": orjson.loads(value),
                "ts": ts,
                "provenance_query_hash": query_hash,
                "insight_id": id,
            }
            for id, ts, subject, metric, value, query_hash in rows
        ]
        if self._unsaved:
            known = {item["insight_id"] for item in pending}
            pending += [item for item in self._unsaved if item["insight_id"] not in known]
            pending.sort(key=lambda item: (item["ts"], item["insight_id"]), reverse=True)
        return pending

    def _forget_arrived(self, sections: Json) -> None:
        """Of what is remembered here alone, forget what the snapshot shows, or shows a later value
        of.
        """
        if not self._unsaved:
            return
        shown = [*sections["insights"], *sections["unverified"]]
        newest: dict[tuple[Any, Any], tuple[str, str]] = {}
        for item in shown:
            key = (item.get("subject"), item.get("metric"))
            newest[key] = max(
                newest.get(key, ("", "")), (item.get("ts", ""), item.get("insight_id", ""))
            )
        self._unsaved = [
            item
            for item in self._unsaved
            if (item["ts"], item["insight_id"])
            > newest.get((item["subject"], item["metric"]), ("", ""))
        ]

    def _late(
        self, as_of: str | None, landing: object, pending: list[tuple[Any, ...]]
    ) -> str | None:
        """Why the snapshot is late, or None. `pending` as `_load_pending` gives it."""
        if as_of is None:
            return None  # there is no snapshot, and that has been said
        landed = landing.get("at") if isinstance(landing, dict) else None
        for what, since in (
            ("what landed", landed if isinstance(landed, str) and landed > as_of else None),
            ("an insight", pending[-1][1] if pending else None),
        ):
            if since is None:
                continue
            seconds = self._now_ns() / 1e9 - parse_ts(since).timestamp()
            if seconds > LATE_SECONDS:
                return (
                    f"{what} {int(seconds // 60)} minutes ago is not in it yet; see 'cdesk status'"
                )
        return None

    # -- queries

    async def _submit_query(self, given: Json, _: Progress | None) -> Json:
        template_name = _required(given, "template", "the name of a cataloged template")
        params = given.get("params")
        if params is None:
            params = {}
        if not isinstance(params, dict):
            raise InvalidField(
                "params", f"is {type(params).__name__}", "an object of parameters by name"
            )
        byte_cap = _integer(given, "byte_cap", low=BYTE_CAP_MIN, high=BYTE_CAP_MAX, default=None)
        dry_run, fresh = _boolean(given, "dry_run"), _boolean(given, "fresh")
        template = self.catalog.get().get(template_name)
        if template.scope == "org":
            self._caller.require_analyst(f"template {template.name}")
        checked = template.check_params(params)
        query_hash = template.query_hash(
            checked, customer=self._caller.customer, is_analyst=self._caller.is_analyst
        )
        ticket_id, submitted_at = self._recorder.stamp()
        query_tag = self._recorder.query_tag()
        expires_at = format_ts(self._now_ns() + EXPIRY_SECONDS * 1_000_000_000)

        def submit(connection: sqlite3.Connection) -> None:
            read_switch(connection).require_off()
            submit_ticket(
                connection,
                ticket_id=ticket_id,
                customer=self._caller.customer,
                is_analyst=self._caller.is_analyst,
                session_id=self._recorder.session_id,
                template=template.name,
                params=checked,
                query_hash=query_hash,
                query_tag=query_tag,
                byte_cap=byte_cap,
                submitted_at=submitted_at,
                expires_at=expires_at,
                dry_run=dry_run,
                fresh=fresh,
            )

        await self._state.write(submit)
        self._recorder.wake_worker(at_once=True)
        answer: Json = {
            "ticket_id": ticket_id,
            "status": "queued",
            "query_hash": query_hash,
            "query_tag": query_tag,
            "expires_at": expires_at,
        }
        if dry_run:
            binds = template.bind(
                checked, customer=self._caller.customer, is_analyst=self._caller.is_analyst
            )
            answer["dry_run"] = {"sql": template.sql, "binds": binds}
        if hints := template.hints(checked):
            answer["hints"] = hints
        return answer

    async def _get_result(self, given: Json, progress: Progress | None) -> Json:
        ticket_id = _required(given, "ticket_id", "the ticket_id that submit_query gave")
        if not isinstance(ticket_id, str):
            raise InvalidField(
                "ticket_id", f"is {type(ticket_id).__name__}", "text, as submit_query gave it"
            )
        seconds = _seconds(given, "wait_seconds", high=MAX_WAIT_SECONDS)
        if _boolean(given, "cancel"):
            await self._cancel(ticket_id)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            # Before the row is read: a change in between is then noticed.
            seen = self._state.version() if seconds else 0
            ticket, waiting = self._state.read(
                lambda connection: self._ticket(connection, ticket_id)
            )
            left = begun + seconds - loop.time()
            if ticket.status in ENDED or left <= 0:
                return self._ticket_answer(ticket, waiting)
            if progress is not None:
                await progress(
                    loop.time() - begun, seconds, ticket.progress or waiting or ticket.status
                )
            await self._state.changed(seen, min(left, PROGRESS_SECONDS if progress else left))

    def _ticket(self, connection: sqlite3.Connection, ticket_id: str) -> tuple[Ticket, str | None]:
        """The caller's ticket, and where it stands while it is queued."""
        ticket = get_ticket(connection, ticket_id, customer=self._caller.customer)
        if ticket.status != "queued":
            return ticket, None
        ahead = queue_position(connection, ticket)
        return (
            ticket,
            f"queued, {ahead:,} of your queries before it" if ahead else "queued, next of yours",
        )

    async def _cancel(self, ticket_id: str) -> None:
        def cancel(connection: sqlite3.Connection) -> None:
            cancel_ticket(
                connection, ticket_id, customer=self._caller.customer, now=format_ts(self._now_ns())
            )

        await self._state.write(cancel)
        self._recorder.wake_worker(at_once=True)

    def _ticket_answer(self, ticket: Ticket, waiting: str | None) -> Json:
        status: str = ticket.status
        error = (
            {"code": ticket.error_code, "message": ticket.error_message or ticket.error_code}
            if ticket.error_code
            else None
        )
        if status == "queued" and format_ts(self._now_ns()) > ticket.expires_at:
            # No worker has come by to write it down.
            status = "expired"
            error = {
                "code": "expired",
                "message": self._worker_missing()
                or "no worker took it in time; see 'cdesk status', then submit again",
            }
        return {
            "ticket_id": ticket.ticket_id,
            "status": status,
            "progress": ticket.progress or (waiting if status == "queued" else None),
            "error": error,
            "result": dict(ticket.result) if ticket.result is not None else None,
        }

    # -- before and afterwards

    def warm(self) -> None:
        """Open and read once what the first call would have to open. What is wrong, that call will
        say.
        """
        with contextlib.suppress(CdeskError):
            self._context(max_bytes=DEFAULT_CONTEXT_BYTES)

    def tick(self) -> None:
        """What has time: called every few seconds while nobody waits."""
        self._recorder.tick()
        self._state.tick()

    def close(self) -> None:
        self._snapshot.close()
        self._state.close()


def error_text(error: CdeskError) -> str:
    """`code: message` in one line, as a tool result says it."""
    text = str(error)
    return text if text.startswith(f"{error.code}:") else f"{error.code}: {text}"


def _required(given: Json, name: str, allowed: str) -> Any:
    value = given.get(name)
    if value is None:
        raise InvalidField(name, "missing", allowed)
    return value


def _named(given: Json, name: str, allowed: str) -> Any:
    """A name that says something; the record contract has the rest to say."""
    value = _required(given, name, allowed)
    if isinstance(value, str) and value and not value.strip():
        raise InvalidField(name, "is blank", allowed)
    return value


def _integer(given: Json, name: str, *, low: int, high: int, default: int | None) -> Any:
    value = given.get(name)
    if value is None:
        return default
    allowed = f"an integer from {low:,} to {high:,}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidField(name, f"is {type(value).__name__}", allowed)
    if not low <= value <= high:
        raise InvalidField(
            name, f"{value:,} is out of range" if abs(value) < 2**63 else "is out of range", allowed
        )
    return value


def _boolean(given: Json, name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise InvalidField(name, f"is {type(value).__name__}", "true or false")
    return value


def _seconds(given: Json, name: str, *, high: float) -> float:
    value = given.get(name)
    if value is None:
        return 0.0
    allowed = f"a number from 0 to {high:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidField(name, f"is {type(value).__name__}", allowed)
    if not math.isfinite(value) or not 0 <= value <= high:
        raise InvalidField(name, f"{str(value)[:40]} is out of range", allowed)
    return float(value)
