"""`get_result`: the state of a ticket, and its result; waits where it is asked to, or cancels."""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from cdesk.core.clock import format_ts, parse_ts, to_ns
from cdesk.core.errors import Forbidden, InvalidField, NotFound
from cdesk.state.facts import BuildUnderWay, read_status
from cdesk.state.pages import PAGE_ROWS, ResultPage, page_count
from cdesk.state.tickets import (
    ENDED,
    EXPIRY_SECONDS,
    Ticket,
    cancel_ticket,
    get_ticket,
    queue_position,
)
from mcp_shim.context import WRITTEN_NOTE
from mcp_shim.result_pages import page_of, page_progress
from mcp_shim.tools.arguments import boolean, integer, required, seconds
from mcp_shim.tools.card import TOOL_META, chart_image, chart_meta
from mcp_shim.tools.tool import Answer, Json, Progress, Tool, closed, nullable

if TYPE_CHECKING:
    from mcp_shim.session import Session

MAX_WAIT_SECONDS: Final = 20.0
PROGRESS_SECONDS: Final = 1.0
MAX_PAGE: Final = 1_000_000_000
LONGEST_BUILD_NS: Final = 3_600 * 1_000_000_000


async def _get_result(session: Session, given: Json, progress: Progress | None) -> Answer:
    ticket_id = required(given, "ticket_id", "the ticket_id that submit_query gave")
    if not isinstance(ticket_id, str):
        raise InvalidField(
            "ticket_id", f"is {type(ticket_id).__name__}", "text, as submit_query gave it"
        )
    try:
        return await _state_of(session, ticket_id, given, progress)
    except NotFound:
        if not session.shared:
            raise
        # Among several customers the answer is the same for another's ticket and for none.
        raise Forbidden(
            f"forbidden: ticket {ticket_id[:60]!r} is none of yours; submit the query again"
        ) from None


async def _state_of(
    session: Session, ticket_id: str, given: Json, progress: Progress | None
) -> Answer:
    patience = seconds(given, "wait_seconds", high=MAX_WAIT_SECONDS)
    page = integer(given, "page", low=1, high=MAX_PAGE, default=1)
    if boolean(given, "cancel"):
        await _cancel(session, ticket_id)
    customer, state = session.caller.customer, session.app.readers.state
    begun = time.monotonic()
    if session.shows_cards:
        session.card_looks.look(ticket_id, session.app.readers.now_ns())
    while True:
        # Before the row is read: a change in between is then noticed.
        seen = state.version() if patience else 0
        ticket, waiting = state.read(
            partial(
                _ticket,
                ticket_id=ticket_id,
                customer=customer,
                now_ns=session.app.readers.now_ns(),
            )
        )
        shown = await _page(session, ticket, page) if page > 1 else None
        left = begun + patience - time.monotonic()
        if left <= 0 or (ticket.status in ENDED and not (shown and shown.is_waited_for)):
            answer = _answer(session, ticket, waiting, shown)
            done = ticket.finished_at
            return _with_card(session, answer, done, as_image=boolean(given, "chart"))
        if progress is not None:
            said = (shown and page_progress(shown)) or waiting or ticket.progress or ticket.status
            await progress(time.monotonic() - begun, patience, said)
        await state.changed(seen, min(left, PROGRESS_SECONDS if progress else left))


def _ticket(
    connection: sqlite3.Connection, *, ticket_id: str, customer: str, now_ns: int
) -> tuple[Ticket, str | None]:
    """The caller's ticket, and what it waits for."""
    ticket = get_ticket(connection, ticket_id, customer=customer)
    is_waiting = ticket.status == "queued" or (
        ticket.status == "running" and (ticket.progress or "").startswith("waiting")
    )
    if is_waiting:
        build = read_status(connection, BuildUnderWay)
        # One that began earlier has died with its worker.
        not_before = format_ts(now_ns - LONGEST_BUILD_NS)
        if build.since is not None and build.since > not_before:
            under_way = f"under way since {build.since}"
            return ticket, f"waiting for the {build.what} of the tables, {under_way}"
    if ticket.status != "queued":
        return ticket, None
    if ticket.progress is not None:
        return ticket, ticket.progress
    ahead = queue_position(connection, ticket)
    return (
        ticket,
        f"queued, {ahead:,} of your queries before it" if ahead else "queued, next of yours",
    )


async def _page(session: Session, ticket: Ticket, page: int) -> ResultPage | None:
    """The page of a result that is there, asked for where it isn't written yet; None where the
    ticket has no pages.

    Raises:
        InvalidField: the result has fewer pages.
    """
    result = ticket.result
    if ticket.status != "succeeded" or not result or not result.get("artifact"):
        return None
    pages = result.get("pages") or page_count(result["row_count"])
    if page > pages:
        raise InvalidField("page", f"{page:,} is beyond the last one", f"1 to {pages:,}")
    return await page_of(session, result["artifact"]["artifact_id"], page)


async def _cancel(session: Session, ticket_id: str) -> None:
    readers = session.app.readers

    def cancel(connection: sqlite3.Connection) -> None:
        cancel_ticket(
            connection,
            ticket_id,
            customer=session.caller.customer,
            now=format_ts(readers.now_ns()),
        )

    await readers.state.write(cancel)
    session.app.records.wake_worker(at_once=True)


def _answer(session: Session, ticket: Ticket, waiting: str | None, page: ResultPage | None) -> Json:
    readers = session.app.readers
    status: str = ticket.status
    error = (
        {"code": ticket.error_code, "message": ticket.error_message or ticket.error_code}
        if ticket.error_code
        else None
    )
    if status == "queued" and format_ts(readers.now_ns()) > ticket.expires_at:
        # No worker has come by to write it down.
        status = "expired"
        error = {
            "code": "expired",
            "message": readers.worker_missing()
            or "no worker took it in time; see 'cdesk status', then submit again",
        }
    progress = waiting or ticket.progress
    result = dict(ticket.result) if ticket.result is not None else None
    if page is not None and page.is_waited_for:
        status, result = "running", None
        progress = readers.worker_missing() or page_progress(page)
    elif page is not None and page.error_code is not None:
        status, result = "failed", None
        error = {"code": page.error_code, "message": page.error_message or page.error_code}
    elif page is not None and result is not None:
        result |= {"page": page.page, "rows": page.rows}
    return {
        "ticket_id": ticket.ticket_id,
        "status": status,
        "progress": progress if status in ("queued", "running") else None,
        "error": error,
        "result": result,
        "note": WRITTEN_NOTE if result is not None else None,
    }


def _with_card(session: Session, answer: Json, done: str | None, *, as_image: bool) -> Answer:
    """The answer with its text for a model; its chart for a client that shows it, or as an image
    where that was asked for. `done`: when the query ended.
    """
    result = answer["result"]
    structured = orjson.dumps(answer)
    if not result or answer["status"] != "succeeded" or result.get("dry_run"):
        return Answer(structured)
    from mcp_shim.tools.told import told  # not before there is a result: a start costs less

    artifact = result.get("artifact") or {}
    charts, customer = session.app.readers.charts, session.caller.customer
    meta: Json | None = None
    more: tuple[Json, ...] = ()
    if charts is not None and artifact:
        if session.shows_cards:
            meta = chart_meta(charts, customer, artifact["artifact_id"])
            if meta is not None and done is not None:
                _note_card(session, answer["ticket_id"], result, done)
        if as_image and (image := chart_image(charts, customer, artifact["artifact_id"])):
            more = (image,)
    return Answer(
        structured, text=told(result, timezone=session.app.readers.timezone), more=more, meta=meta
    )


def _note_card(session: Session, ticket_id: str, result: Json, done: str) -> None:
    waited = session.card_looks.shown(
        ticket_id, done_ns=to_ns(parse_ts(done)), now_ns=session.app.readers.now_ns()
    )
    if waited is not None:
        session.card_shown(result, waited)


GET_RESULT: Final = Tool(
    name="get_result",
    title="Get a query's result",
    text=(
        f"The state of a ticket, and once it has succeeded its result: a headline, up to "
        f"{PAGE_ROWS} rows (page has the next), a summary of all rows, as_of, query_hash, and a "
        "link to its card, where the person sees all rows and a chart. Set wait_seconds to 10 "
        f"rather than calling often. A ticket not started within {EXPIRY_SECONDS // 60} minutes "
        "expires."
    ),
    input=closed(
        {
            "ticket_id": {
                "type": "string",
                "maxLength": 36,
                "description": "From submit_query.",
            },
            "wait_seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": MAX_WAIT_SECONDS,
                "default": 0,
                "description": "Wait up to so long for the query to end.",
            },
            "page": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_PAGE,
                "default": 1,
                "description": "Which ten rows; the result says how many pages.",
            },
            "chart": {
                "type": "boolean",
                "default": False,
                "description": "Also answer with the chart as an image, to look at it yourself.",
            },
            "cancel": {
                "type": "boolean",
                "default": False,
                "description": "Cancel the query instead; one that has ended stays as it is.",
            },
        },
        ("ticket_id",),
    ),
    output=closed(
        {
            "ticket_id": {"type": "string"},
            "status": {
                "enum": ["queued", "running", "succeeded", "failed", "cancelled", "expired"]
            },
            "progress": nullable("string"),
            "error": nullable("object"),
            "result": nullable("object"),
            "note": nullable("string"),
        }
    ),
    handler=_get_result,
    idempotent=True,
    needs_worker=True,
    meta=TOOL_META,
)
