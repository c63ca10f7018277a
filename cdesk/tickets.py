"""Tickets: a query asked for now and run later, as rows of `state.db`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from cdesk.errors import NotFound

Status = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
ENDED: Final = frozenset(("succeeded", "failed", "cancelled", "expired"))
EXPIRY_SECONDS: Final = 15 * 60
"""A ticket that no worker has started by then is expired."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One row. Timestamps are RFC 3339 in UTC; `result` is what get_result answers once the status is `succeeded`."""

    ticket_id: str
    customer: str
    is_analyst: bool
    session_id: str | None
    template: str
    params: Mapping[str, Any]
    query_hash: str
    query_tag: str
    byte_cap: int | None
    status: Status
    attempts: int
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str
    progress: str | None
    error_code: str | None
    error_message: str | None
    result: Mapping[str, Any] | None


_COLUMNS: Final = (
    "ticket_id, customer, is_analyst, session_id, template, params, query_hash, query_tag, byte_cap, status, attempts, "
    "submitted_at, started_at, finished_at, expires_at, progress, error_code, error_message, result"
)


def ticket_from_row(row: tuple[Any, ...]) -> Ticket:
    values = list(row)
    values[2] = bool(values[2])
    values[5] = orjson.loads(values[5])
    values[18] = orjson.loads(values[18]) if values[18] is not None else None
    return Ticket(*values)


def submit_ticket(
    connection: sqlite3.Connection,
    *,
    ticket_id: str,
    customer: str,
    is_analyst: bool,
    session_id: str | None,
    template: str,
    params: Mapping[str, Any],
    query_hash: str,
    query_tag: str,
    byte_cap: int | None,
    submitted_at: str,
    expires_at: str,
) -> None:
    """Write one queued ticket."""
    connection.execute(
        "insert into tickets (ticket_id, customer, is_analyst, session_id, template, params, query_hash, query_tag, byte_cap, "
        "status, submitted_at, expires_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
        (
            ticket_id,
            customer,
            is_analyst,
            session_id,
            template,
            orjson.dumps(params).decode(),
            query_hash,
            query_tag,
            byte_cap,
            submitted_at,
            expires_at,
        ),
    )


def get_ticket(connection: sqlite3.Connection, ticket_id: str, *, customer: str) -> Ticket:
    """The caller's ticket.

    Raises:
        NotFound: there is none of that id for this customer, whether or not somebody else has it.
    """
    row = connection.execute(
        f"select {_COLUMNS} from tickets where ticket_id = ? and customer = ?",
        (ticket_id, customer),
    ).fetchone()
    if row is None:
        raise NotFound(f"ticket {ticket_id[:60]!r} is not known here; submit the query again")
    return ticket_from_row(row)
