"""The sessions of an HTTP service. Requests stand alone there, and any process answers any of them:
which belong together is written in `access.db`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from cdesk.core.clock import NowNs
from cdesk.core.errors import StateDirectoryError
from cdesk.state.access import AccessStore, SessionRow
from mcp_shim.app import App
from mcp_shim.auth import Identity
from mcp_shim.session import Recorder, Session

logger = logging.getLogger(__name__)

IDLE_NS: Final = 30 * 60 * 1_000_000_000
"""A session ends when it has been idle for this long."""
GRACE_NS: Final = 60 * 1_000_000_000
"""What another process may have seen of it and not yet written down."""
WRITTEN_AT_ONCE: Final = 100
"""Sessions in one transaction, which nobody is answered during."""
MAX_KEPT: Final = 5_000
"""Sessions that a process keeps in memory. Those beyond go on from `access.db`."""


@dataclass(slots=True)
class _Entry:
    session: Session
    last_used: int
    written: tuple[int, int, int]
    """last_used, calls and errors as `access.db` has them of this process."""


class SessionPool:
    """One process's part in the sessions of all callers. Used on the event loop only."""

    def __init__(self, app: App, store: AccessStore, *, now_ns: NowNs = time.time_ns) -> None:
        self._app = app
        self._store = store
        self._now_ns = now_ns
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def session(self, identity: Identity, protocol_session: str | None) -> Session:
        """The session that a request belongs to: of the protocol where it names one, else of its
        token, until that has been idle for half an hour.

        The protocol's session counts within its token only: naming another's leads nowhere.
        """
        key = session_key(identity, protocol_session)
        now = self._now_ns()
        entry = self._entries.get(key)
        if entry is not None and now - entry.last_used <= IDLE_NS:
            entry.last_used = now
            self._entries.move_to_end(key)
            if entry.session.caller != identity.caller:  # other roles by now
                entry.session.caller = identity.caller
            return entry.session
        if entry is not None:
            self._write([key])
        session, joined = self._join(key, identity, now)
        self._entries[key] = _Entry(session, now, (joined, 0, 0))
        self._entries.move_to_end(key)
        self._forget_oldest()
        return session

    def end(self, identity: Identity, protocol_session: str) -> None:
        """End a session because its client says so."""
        key = session_key(identity, protocol_session)
        if key in self._entries:
            self._write([key])
            del self._entries[key]
        if (row := self._store.end_session(key)) is not None:
            self._record_end(row, "client")

    async def tick(self) -> None:
        """Write down what has happened, and record the end of sessions that have been idle. Calls
        are answered in between.
        """
        keys = list(self._entries)
        for start in range(0, len(keys), WRITTEN_AT_ONCE):
            self._write(
                [key for key in keys[start : start + WRITTEN_AT_ONCE] if key in self._entries]
            )
            await asyncio.sleep(0)
        now = self._now_ns()
        for key, entry in list(self._entries.items()):
            if now - entry.last_used > IDLE_NS and not entry.session.context.unsaved:
                del self._entries[key]
        try:
            ended = self._store.end_sessions(unused_since=now - IDLE_NS - GRACE_NS)
        except StateDirectoryError as error:
            logger.warning("sessions not ended", extra={"facts": {"reason": str(error)[:200]}})
            return
        for row in ended:
            self._record_end(row)

    def close(self) -> None:
        """Write down what has happened. The sessions go on: another process answers, or this one
        after a restart.
        """
        self._write(list(self._entries))

    def _join(self, key: str, identity: Identity, now: int) -> tuple[Session, int]:
        caller = identity.caller
        born = SessionRow(key, caller.customer, self._app.records.ids.uuid7(), now, now)
        try:
            row, old = self._store.join_session(born, idle_ns=IDLE_NS)
        except StateDirectoryError as error:
            logger.warning("session not shared", extra={"facts": {"reason": str(error)[:200]}})
            row, old = born, None
        if old is not None:
            self._record_end(old)
        session = Session(self._app, caller, session_id=row.session_id, shared=True)
        if row is not born:
            session.resume()
        return session, row.last_used

    def _record_end(self, row: SessionRow, reason: str = "idle") -> None:
        recorder = Recorder(self._app.records, customer=row.customer, session_id=row.session_id)
        recorder.note(
            "cdesk.session_ended",
            {
                "reason": reason,
                "duration_ms": round((row.last_used - row.started_at) / 1e6),
                "calls": row.calls,
                "errors": row.errors,
            },
        )

    def _write(self, keys: list[str]) -> None:
        uses, states = [], []
        for key in keys:
            entry = self._entries[key]
            session, (used, calls, errors) = entry.session, entry.written
            state = (entry.last_used, session.calls, session.errors)
            if state == entry.written:
                continue
            more = (max(entry.last_used, used), session.calls - calls, session.errors - errors)
            uses.append((*more, key, session.recorder.session_id))
            states.append((entry, state))
        if not uses:
            return
        try:
            self._store.touch_sessions(uses)
        except StateDirectoryError as error:
            logger.warning("sessions not written", extra={"facts": {"reason": str(error)[:200]}})
            return
        for entry, state in states:
            entry.written = state

    def _forget_oldest(self) -> None:
        while len(self._entries) > MAX_KEPT:
            key = next(iter(self._entries))
            if self._entries[key].session.context.unsaved:
                return  # insights that stand nowhere else yet
            self._write([key])
            del self._entries[key]


def session_key(identity: Identity, protocol_session: str | None) -> str:
    """A digest that names a session of one token."""
    parts = (identity.caller.customer, identity.token_id, protocol_session or "")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
