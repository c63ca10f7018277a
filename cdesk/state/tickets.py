"""Tickets: a query asked for now and run later, as rows of `state.db`.

    queued ──claim──▶ running ──▶ succeeded | failed | cancelled
      │                  │
      │                  └──recover (its worker died)──▶ queued once more, then failed `worker_lost`
      └──▶ cancelled | expired (nobody started it in time)

Every transition is one UPDATE guarded by the state it leaves, so that two processes cannot both
make it; each function says whether it was the one. Timestamps are RFC 3339 in UTC with six
decimals, so that they compare as text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, get_args

import orjson

from cdesk.core.clock import format_ts, parse_ts, to_ns
from cdesk.core.errors import NotFound
from cdesk.state.database import write_transaction

Status = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
ENDED: Final = frozenset(("succeeded", "failed", "cancelled", "expired"))
EXPIRY_SECONDS: Final = 15 * 60
"""A ticket that no worker has started by then is expired."""
MAX_ATTEMPTS: Final = 2
"""A ticket whose worker died is run once more, then failed."""
KEEP_DAYS: Final = 7
"""An ended ticket is forgotten after that; its result stays under its query_hash and in its
artifact.
"""
BYTE_CAP_DEFAULT: Final = 64 * 1024 * 1024
"""Above so many bytes of result (as Arrow holds it in memory) the answer is a sample, unless the
caller names another cap.
"""
BYTE_CAP_MIN: Final = 1_024
BYTE_CAP_MAX: Final = 1024 * 1024 * 1024


class Ticket(NamedTuple):
    """One row. `result` is what get_result answers once the status is `succeeded`."""

    ticket_id: str
    customer: str
    is_analyst: bool
    least_customers: int
    session_id: str | None
    template: str
    params: Mapping[str, Any]
    query_hash: str
    query_tag: str
    byte_cap: int | None
    dry_run: bool
    fresh: bool
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
    "ticket_id, customer, is_analyst, least_customers, session_id, template, params, query_hash, "
    "query_tag, byte_cap, dry_run, fresh, status, "
    "attempts, submitted_at, started_at, finished_at, expires_at, progress, error_code, "
    "error_message, result"
)


def ticket_from_row(row: Sequence[Any]) -> Ticket:
    ticket = Ticket._make(row)
    result = ticket.result
    return ticket._replace(
        is_analyst=bool(ticket.is_analyst),
        dry_run=bool(ticket.dry_run),
        fresh=bool(ticket.fresh),
        params=orjson.loads(ticket.params),  # type: ignore[arg-type]
        result=orjson.loads(result) if result is not None else None,  # type: ignore[arg-type]
    )


# -- the asking side


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
    dry_run: bool = False,
    fresh: bool = False,
    least_customers: int = 1,
) -> None:
    """Write one queued ticket."""
    connection.execute(
        "insert into tickets (ticket_id, customer, is_analyst, least_customers, session_id, "
        "template, params, query_hash, query_tag, byte_cap, "
        "dry_run, fresh, status, submitted_at, expires_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?, 'queued', ?, ?)",
        (
            ticket_id,
            customer,
            is_analyst,
            least_customers,
            session_id,
            template,
            orjson.dumps(params).decode(),
            query_hash,
            query_tag,
            byte_cap,
            dry_run,
            fresh,
            submitted_at,
            expires_at,
        ),
    )


def keep_ended_query(
    connection: sqlite3.Connection,
    *,
    started_at: str,
    finished_at: str,
    status: Status,
    result: bytes | None = None,
    error_code: str | None = None,
    **ticket: Any,
) -> None:
    """Enter a query that ran without waiting for its turn, as a ticket that has ended: who adds up
    what queries use goes by tickets. `ticket` holds the other arguments of `submit_ticket`.
    """
    with write_transaction(connection):
        submit_ticket(connection, submitted_at=started_at, expires_at=started_at, **ticket)
        connection.execute(
            "update tickets set status = ?, attempts = 1, started_at = ?, finished_at = ?, "
            "result = ?, error_code = ? where ticket_id = ?",
            (
                status,
                started_at,
                finished_at,
                result.decode() if result is not None else None,
                error_code,
                ticket["ticket_id"],
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


def queue_position(connection: sqlite3.Connection, ticket: Ticket) -> int:
    """How many tickets of the same customer wait before this one; other customers take turns with
    it.
    """
    row = connection.execute(
        "select count(*) from tickets where status = 'queued' and customer = ? and "
        "(submitted_at, ticket_id) < (?, ?)",
        (ticket.customer, ticket.submitted_at, ticket.ticket_id),
    ).fetchone()
    return int(row[0])


def cancel_ticket(
    connection: sqlite3.Connection, ticket_id: str, *, customer: str, now: str
) -> Status:
    """Cancel the caller's ticket: at once where it waits, by request to the runner where it runs.
    The status afterwards.

    Raises:
        NotFound: as get_ticket.
    """
    ticket = get_ticket(connection, ticket_id, customer=customer)
    connection.execute(
        "update tickets set status = 'cancelled', finished_at = ?, error_code = 'cancelled', "
        "error_message = ? "
        "where ticket_id = ? and status = 'queued'",
        (now, "cancelled on request before it ran", ticket_id),
    )
    connection.execute(
        "update tickets set cancel_requested = 1 where ticket_id = ? and status = 'running'",
        (ticket_id,),
    )
    return get_ticket(connection, ticket.ticket_id, customer=customer).status


# -- the running side

# Round robin: the customer whose last claim lies furthest back (or who never had one) comes next,
# with the oldest ticket. Read before the claim, which then holds the write lock for one row's time:
# whoever submits a query or records an insight waits for it.
_NEXT: Final = """
with waiting as (select distinct customer from tickets where status = 'queued'),
next_customer as (
    select waiting.customer
    from waiting
    order by coalesce(
        (
            select max(served.turn) from tickets as served
            where served.customer = waiting.customer and served.turn is not null
        ), 0
    ), waiting.customer
    limit 1
)
select ticket_id from tickets
where status = 'queued' and customer = (select customer from next_customer)
order by submitted_at, ticket_id
limit 1
"""
_CLAIM: Final = f"""
update tickets
set
    status = 'running', runner = :runner, attempts = attempts + 1, started_at = :now,
    progress = 'running',
    turn = (select coalesce(max(turn), 0) + 1 from tickets where turn is not null)
where ticket_id = :ticket_id and status = 'queued'
returning {_COLUMNS}
"""


def claim_ticket(connection: sqlite3.Connection, *, runner: str, now: str) -> Ticket | None:
    """Take the next waiting ticket for `runner`, in fair order between customers; None where none
    waits.
    """
    while (found := connection.execute(_NEXT).fetchone()) is not None:
        claim = {"runner": runner, "now": now, "ticket_id": found[0]}
        row = connection.execute(_CLAIM, claim).fetchone()
        if row is not None:  # else it was cancelled, or taken by another, just now
            return ticket_from_row(row)
    return None


def set_progress(
    connection: sqlite3.Connection, ticket_id: str, *, runner: str, progress: str
) -> None:
    """A short text for a person on how far it has come."""
    connection.execute(
        "update tickets set progress = ? where ticket_id = ? and status = 'running' and runner = ?",
        (progress, ticket_id, runner),
    )


def finish_ticket(
    connection: sqlite3.Connection,
    ticket_id: str,
    *,
    runner: str,
    status: Status,
    now: str,
    result: bytes | None = None,
    error_code: str | None = None,
    error_message: str | None = None,
) -> bool:
    """End a running ticket of this runner; `result` is UTF-8 JSON. False when it was no longer this
    runner's to end.
    """
    cursor = connection.execute(
        "update tickets set status = ?, finished_at = ?, result = ?, error_code = ?, "
        "error_message = ?, progress = null "
        "where ticket_id = ? and status = 'running' and runner = ?",
        (
            status,
            now,
            result.decode() if result is not None else None,
            error_code,
            error_message,
            ticket_id,
            runner,
        ),
    )
    return cursor.rowcount == 1


def cancel_requests(connection: sqlite3.Connection, *, runner: str) -> list[str]:
    """Running tickets of this runner that somebody wants cancelled."""
    rows = connection.execute(
        "select ticket_id from tickets where status = 'running' and runner = ? and "
        "cancel_requested = 1",
        (runner,),
    )
    return [row[0] for row in rows]


def expire_tickets(connection: sqlite3.Connection, *, now: str) -> list[Ticket]:
    """End what has waited past its time; the tickets that ended by this call."""
    late = "select 1 from tickets where status = 'queued' and expires_at <= ? limit 1"
    if connection.execute(late, (now,)).fetchone() is None:
        return []  # without the write lock, which others wait for
    rows = connection.execute(
        "update tickets set status = 'expired', finished_at = :now, error_code = 'expired', "
        "error_message = 'no worker started it in time; see ''cdesk status'', then submit the "
        "query again' "
        f"where status = 'queued' and expires_at <= :now returning {_COLUMNS}",
        {"now": now},
    ).fetchall()
    return [ticket_from_row(row) for row in rows]


def recover_tickets(connection: sqlite3.Connection, *, runner: str, now: str) -> list[Ticket]:
    """Free what other runners left running; the tickets that ended by this call.

    To be called by the one worker of a state directory when it starts: any other runner is dead by
    then.
    """
    ended = connection.execute(
        "update tickets set finished_at = :now, progress = null, "
        "status = case when cancel_requested then 'cancelled' else 'failed' end, "
        "error_code = case when cancel_requested then 'cancelled' else 'worker_lost' end, "
        "error_message = case when cancel_requested then 'cancelled on request' else "
        "'the worker died ' || attempts || ' times while this query ran; see ''cdesk status'' "
        "and the worker''s log' end "
        "where status = 'running' and runner <> :runner and (cancel_requested or attempts >= "
        ":attempts) "
        f"returning {_COLUMNS}",
        {"now": now, "runner": runner, "attempts": MAX_ATTEMPTS},
    ).fetchall()
    connection.execute(
        "update tickets set status = 'queued', runner = null, started_at = null, progress = "
        "'waiting again: its worker stopped' "
        "where status = 'running' and runner <> ?",
        (runner,),
    )
    return [ticket_from_row(row) for row in ended]


def release_tickets(connection: sqlite3.Connection, *, runner: str) -> int:
    """Put this runner's running tickets back in the queue, their attempt not counted: for an
    orderly stop. How many.
    """
    cursor = connection.execute(
        "update tickets set status = 'queued', runner = null, started_at = null, attempts = "
        "attempts - 1, "
        "progress = 'waiting again: its worker stopped' where status = 'running' and runner = ?",
        (runner,),
    )
    return cursor.rowcount


def cancel_all(connection: sqlite3.Connection, *, code: str, message: str, now: str) -> int:
    """End all that waits and request the end of all that runs; how many tickets that touches."""
    waiting = connection.execute(
        "update tickets set status = 'cancelled', finished_at = ?, error_code = ?, "
        "error_message = ? where status = 'queued'",
        (now, code, message),
    ).rowcount
    running = connection.execute(
        "update tickets set cancel_requested = 1 where status = 'running'"
    ).rowcount
    return waiting + running


def fail_open(connection: sqlite3.Connection, *, code: str, message: str, now: str) -> int:
    """End all that waits or runs as failed, for a worker that can run none of it; how many."""
    return connection.execute(
        "update tickets set status = 'failed', finished_at = ?, error_code = ?, "
        "error_message = ?, progress = null where status in ('queued', 'running')",
        (now, code, message),
    ).rowcount


def running_tickets(connection: sqlite3.Connection, *, runner: str) -> set[str]:
    """Ids of what stands as running under `runner`."""
    rows = connection.execute(
        "select ticket_id from tickets where status = 'running' and runner = ?", (runner,)
    )
    return {row[0] for row in rows}


def count_open(connection: sqlite3.Connection) -> dict[str, int]:
    """How many tickets wait (`queued`) and run (`running`)."""
    row = connection.execute(
        "select (select count(*) from tickets where status = 'queued'), (select count(*) from "
        "tickets where status = 'running')"
    ).fetchone()
    return {"queued": int(row[0]), "running": int(row[1])}


def count_by_status(connection: sqlite3.Connection) -> dict[str, int]:
    """How many tickets stand in state.db by their status."""
    return dict(connection.execute("select status, count(*) from tickets group by status"))


def forget_tickets(
    connection: sqlite3.Connection, *, now: datetime, keep_days: int = KEEP_DAYS
) -> int:
    """Delete tickets that ended more than `keep_days` ago; how many."""
    limit = format_ts(to_ns(now.astimezone(UTC)) - keep_days * 86_400 * 1_000_000_000)
    return connection.execute("delete from tickets where finished_at < ?", (limit,)).rowcount


def expiry_of(submitted_at: str, *, seconds: int = EXPIRY_SECONDS) -> str:
    """When a ticket of that birth expires."""
    return format_ts(to_ns(parse_ts(submitted_at)) + seconds * 1_000_000_000)
